"""Metrics of dense tasks, as Keras metrics whose `result()` is a dictionary, and Delta-m.

====================== =================== ==================================================
class                  task                results
====================== =================== ==================================================
`SegmentationMetrics`  semseg, human_parts miou, pixel_accuracy
`DepthMetrics`         depth               rmse, log_rmse, abs_error, abs_rel, delta1..delta3
`NormalsMetrics`       normals             mean, median, rmse, within_11_25/22_5/30
`SaliencyMetrics`      saliency            miou, max_f, max_f_pooled
`EdgeMetrics`          edges               f, precision, recall
`RegressionMetrics`    keypoints, ..       abs_error, rmse
====================== =================== ==================================================

`edge_benchmark` evaluates edges with the protocol of published tables: thinned, matched one to one,
at 99 thresholds. Ratios are fractions, depth is in metres, angles are in degrees. The classes take
`y_true [B, H, W, C]`, raw predictions `y_pred [B, H, W, C]` and the validity mask `sample_weight
[B, H, W]`, and pool over pixels or images as the survey (Vandenhende et al., TPAMI 2021, section
4). Sums are float64.
"""

from mtl_tf.metrics.base import DenseMetric, MetricInfo, resized
from mtl_tf.metrics.delta_m import (
    HIGHER_IS_BETTER,
    MAIN_METRICS,
    delta_m,
    delta_m_of_seeds,
    task_deltas,
)
from mtl_tf.metrics.depth import DepthMetrics
from mtl_tf.metrics.edge_benchmark import (
    count_in_processes,
    edge_benchmark,
    edge_counts,
    edge_scores,
)
from mtl_tf.metrics.edges import EdgeMetrics
from mtl_tf.metrics.normals import NormalsMetrics
from mtl_tf.metrics.regression import RegressionMetrics
from mtl_tf.metrics.saliency import SaliencyMetrics
from mtl_tf.metrics.segmentation import SegmentationMetrics

__all__ = [
    "HIGHER_IS_BETTER",
    "MAIN_METRICS",
    "DenseMetric",
    "DepthMetrics",
    "EdgeMetrics",
    "MetricInfo",
    "NormalsMetrics",
    "RegressionMetrics",
    "SaliencyMetrics",
    "SegmentationMetrics",
    "count_in_processes",
    "delta_m",
    "delta_m_of_seeds",
    "edge_benchmark",
    "edge_counts",
    "edge_scores",
    "resized",
    "task_deltas",
]
