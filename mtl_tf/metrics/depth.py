"""Errors of depth (survey, section 4; delta thresholds: Eigen et al. 2014).

In metres, pooled over all valid pixels of all images. Predictions below 1e-9 m are clipped, large
ones are not; no crop.
"""

from collections.abc import Mapping
from typing import ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo, sum_where
from mtl_tf.targets import TargetKind

_MIN_DEPTH_M = 1e-9
_SUMS = ("square", "log_square", "absolute", "relative", "delta1", "delta2", "delta3")


@keras.saving.register_keras_serializable(package="mtl_tf")
class DepthMetrics(DenseMetric):
    """Depth errors in metres, pooled over valid pixels.

    Results: `rmse` and `abs_error` (metres), `log_rmse` (natural logarithm), `abs_rel` (fraction of
    the target), `delta1`, `delta2`, `delta3` (fraction of pixels with `max(p / t, t / p)` below
    1.25, 1.25², 1.25³, where p is the prediction and t the target).

    `y_true` and `y_pred` are metres `[B, H, W, 1]`; pixels whose target is not above 0 are invalid.

    Source: Vandenhende et al., TPAMI 2021, section 4; Eigen et al. 2014.

    Args:
        name: name of the metric.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.DepthMetrics()
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((1, 8, 8, 1)))
        >>> sorted(metric.result())
        ['abs_error', 'abs_rel', 'delta1', 'delta2', 'delta3', 'log_rmse', 'rmse']
    """

    kind = TargetKind.DISTANCE
    info: ClassVar[Mapping[str, MetricInfo]] = {
        "rmse": MetricInfo(False, "m", label="RMSE"),
        "log_rmse": MetricInfo(False, label="RMSE of the logarithm"),
        "abs_error": MetricInfo(False, "m", label="mean absolute error"),
        "abs_rel": MetricInfo(False, "%", label="mean relative error"),
        "delta1": MetricInfo(True, "%", label="δ < 1.25"),
        "delta2": MetricInfo(True, "%", label="δ < 1.25²"),
        "delta3": MetricInfo(True, "%", label="δ < 1.25³"),
    }

    def __init__(self, name: str = "depth_metrics") -> None:
        super().__init__(name=name)
        self.count = self.add_sum("count")
        self.sums = {key: self.add_sum(key) for key in _SUMS}

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch to the sums."""
        target = tf.cast(y_true[..., 0], tf.float32)
        valid &= target > 0
        target = tf.where(valid, target, 1.0)
        predicted = tf.maximum(y_pred[..., 0], _MIN_DEPTH_M)
        error = tf.abs(predicted - target)
        ratio = tf.maximum(predicted / target, target / predicted)
        values = {
            "square": tf.square(error),
            "log_square": tf.square(tf.math.log(predicted) - tf.math.log(target)),
            "absolute": error,
            "relative": error / target,
            "delta1": ratio < 1.25,
            "delta2": ratio < 1.25**2,
            "delta3": ratio < 1.25**3,
        }
        for key in _SUMS:
            self.sums[key].assign_add(sum_where(values[key], valid))
        self.count.assign_add(sum_where(tf.ones_like(target), valid))

    def result(self) -> dict[str, tf.Tensor]:
        """Return the errors by name."""
        count = tf.convert_to_tensor(self.count)
        mean = {
            key: tf.math.divide_no_nan(tf.convert_to_tensor(s), count)
            for key, s in self.sums.items()
        }
        return {
            "rmse": tf.sqrt(mean["square"]),
            "log_rmse": tf.sqrt(mean["log_square"]),
            "abs_error": mean["absolute"],
            "abs_rel": mean["relative"],
            "delta1": mean["delta1"],
            "delta2": mean["delta2"],
            "delta3": mean["delta3"],
        }
