"""Diagnostics: where a network fails, beyond one number for each task.

=============== ==================================================================================
`collector`     gathers all of the following while a network is evaluated
`classes`       IoU, precision and recall of each class; the confusion matrix
`reliability`   confidence of class predictions against their accuracy
`depth_ranges`  error of depth by range of the true depth
`angles`        distribution of the angular errors of directions
`thresholds`    precision and recall of regions and boundaries at every threshold
`image_scores`  score of each image; the best, the median and the worst
=============== ==================================================================================
"""
