"""Metrics of dense tasks, as Keras metrics whose `result()` is a dictionary, and Delta-m.

====================== =================== ==================================================
class                  task                results
====================== =================== ==================================================
`SegmentationMetrics`  semseg, human_parts miou, pixel_accuracy
`DepthMetrics`         depth               rmse, log_rmse, abs_error, abs_rel, delta1..delta3
`NormalsMetrics`       normals             mean, median, rmse, within_11_25/22_5/30
`SaliencyMetrics`      saliency            miou, max_f
`EdgeMetrics`          edges               f, precision, recall
====================== =================== ==================================================

Shares are fractions, depth is in metres, angles are in degrees. All take `y_true [B, H, W, C]`,
raw predictions `y_pred [B, H, W, C]` and the validity mask `sample_weight [B, H, W]`, and pool over
pixels or images as the survey does (Vandenhende et al., TPAMI 2021, section 4). Sums are float64.
"""

from mtl_tf.metrics.base import resized
from mtl_tf.metrics.boundaries import EdgeMetrics
from mtl_tf.metrics.depth import DepthMetrics
from mtl_tf.metrics.multi_task import HIGHER_IS_BETTER, MAIN_METRICS, delta_m
from mtl_tf.metrics.normals import NormalsMetrics
from mtl_tf.metrics.saliency import SaliencyMetrics
from mtl_tf.metrics.segmentation import SegmentationMetrics

__all__ = [
    "HIGHER_IS_BETTER",
    "MAIN_METRICS",
    "DepthMetrics",
    "EdgeMetrics",
    "NormalsMetrics",
    "SaliencyMetrics",
    "SegmentationMetrics",
    "delta_m",
    "resized",
]
