"""Angular errors of surface normals (survey, section 4).

In degrees, pooled over all valid pixels of all images; both vectors are normalised first. The
median is computed from a histogram of 0.01° bins, exact to 0.005° for any number of pixels. No
crop.
"""

from collections.abc import Mapping
from typing import ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo, sum_where
from mtl_tf.targets import TargetKind

_BIN_DEG = 0.01
_NUM_BINS = 18_001
_THRESHOLDS_DEG = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}


def angle_deg(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return the angles `[...]` float32 between vectors `[..., 3]`, 0° to 180°.

    The arctangent is accurate for small angles, where an arccosine is not.
    """
    cross = tf.norm(tf.linalg.cross(a, b), axis=-1)
    dot = tf.reduce_sum(a * b, axis=-1)
    return tf.atan2(cross, dot) * (180.0 / 3.141592653589793)


def angular_error_deg(predicted: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return the angles `[...]` of predictions `[..., 3]`; one without direction is 90° off.

    Args:
        predicted: vectors of any length.
        target: vectors of any length.
    """
    has_direction = tf.reduce_any(predicted != 0, axis=-1)
    return tf.where(has_direction, angle_deg(predicted, target), 90.0)


@keras.saving.register_keras_serializable(package="mtl_tf")
class NormalsMetrics(DenseMetric):
    """Angles between predicted and target normals, in degrees.

    Results: `mean`, `median`, `rmse` (degrees), `within_11_25`, `within_22_5`, `within_30`
    (fractions of pixels).

    `y_true` and `y_pred` are vectors `[B, H, W, 3]` of any length; pixels whose target is the zero
    vector are invalid.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        name: name of the metric.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.NormalsMetrics()
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 3)), keras.ops.ones((1, 8, 8, 3)))
        >>> sorted(metric.result())
        ['mean', 'median', 'rmse', 'within_11_25', 'within_22_5', 'within_30']
    """

    kind = TargetKind.DIRECTION
    info: ClassVar[Mapping[str, MetricInfo]] = {
        "mean": MetricInfo(False, "°", label="mean angle"),
        "median": MetricInfo(False, "°", label="median angle"),
        "rmse": MetricInfo(False, "°", label="RMS angle"),
        **{
            name: MetricInfo(True, "%", label=f"within {degrees:g}°")
            for name, degrees in _THRESHOLDS_DEG.items()
        },
    }

    def __init__(self, name: str = "normals_metrics") -> None:
        super().__init__(name=name)
        self.count = self.add_sum("count")
        self.total = self.add_sum("total")
        self.total_square = self.add_sum("total_square")
        self.histogram = self.add_sum("histogram", (_NUM_BINS,))
        self.within = {key: self.add_sum(key) for key in _THRESHOLDS_DEG}

    @property
    def channels(self) -> int:
        """Channels of the prediction."""
        return 3

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch to the sums and the histogram."""
        target = tf.cast(y_true, tf.float32)
        valid &= tf.reduce_any(target != 0, axis=-1)
        angle = angular_error_deg(y_pred, target)
        bins = tf.where(valid, tf.cast(angle / _BIN_DEG, tf.int32), -1)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, num_segments=_NUM_BINS)
        self.histogram.assign_add(tf.cast(counts, tf.float64))
        self.count.assign_add(sum_where(tf.ones_like(angle), valid))
        self.total.assign_add(sum_where(angle, valid))
        self.total_square.assign_add(sum_where(tf.square(angle), valid))
        for key, threshold in _THRESHOLDS_DEG.items():
            self.within[key].assign_add(sum_where(angle < threshold, valid))

    def result(self) -> dict[str, tf.Tensor]:
        """Return the errors by name."""
        count = tf.convert_to_tensor(self.count)
        below = tf.cumsum(tf.convert_to_tensor(self.histogram))
        median_bin = tf.reduce_sum(tf.cast(below < count / 2, tf.float64))
        results = {
            "mean": tf.math.divide_no_nan(tf.convert_to_tensor(self.total), count),
            "median": tf.where(count > 0, (median_bin + 0.5) * _BIN_DEG, tf.zeros_like(count)),
            "rmse": tf.sqrt(tf.math.divide_no_nan(tf.convert_to_tensor(self.total_square), count)),
        }
        for key, total in self.within.items():
            results[key] = tf.math.divide_no_nan(tf.convert_to_tensor(total), count)
        return results
