"""Reports: tables, plots, pictures and pages, and the report of a run.

============== ===================================================
`tables`       numbers with units, Markdown tables
`plots`        curves, bars and scatter plots as SVG
`colours`      predictions and targets as pictures
`pictures`     coloured maps and legends of a page
`pages`        HTML pages from templates
`run_report`   the report of a run
============== ===================================================
"""
