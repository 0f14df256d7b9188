"""Live view of a folder of runs in a browser: curves as they grow, pictures by epoch, comparison.

========== =======================================================
`runs`     what the folders of runs hold, finished or not
`page`     the page, and the part of it that changes
`server`   serves both, and the reports of the runs, to this machine
========== =======================================================
"""
