"""Texts and pages that a run leaves for readers.

============== ==========================================================
`epoch_pictures` `epochs/`: predictions for validation images after each epoch
`report`       `report.html`: results, failures, pictures, curves
`card`         sections of `MODEL_CARD.md`, and the command of a run
`results_page` stored results as Markdown, for the docs
============== ==========================================================
"""
