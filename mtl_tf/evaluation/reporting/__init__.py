"""Reports: the page of a run, its plots and colours."""
