"""Errors of real-valued maps: heat maps of key points, principal curvature.

Pooled over all channels and all valid pixels of all images.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo, sum_where


@keras.saving.register_keras_serializable(package="mtl_tf")
class RegressionMetrics(DenseMetric):
    """Mean absolute and root mean square error, in the unit of the targets.

    Results: `abs_error`, `rmse`.

    Source: Zamir et al., "Taskonomy", CVPR 2018 (absolute error of its continuous tasks).

    Args:
        num_channels: channels C of `y_true` and `y_pred` `[B, H, W, C]`.
        name: name of the metric.

    Raises:
        ValueError: if `num_channels` is below 1, or shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.RegressionMetrics(num_channels=2)
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 2)), keras.ops.ones((1, 8, 8, 2)))
        >>> sorted(metric.result())
        ['abs_error', 'rmse']
    """

    info: ClassVar[Mapping[str, MetricInfo]] = {
        "abs_error": MetricInfo(False, digits=4, label="mean absolute error"),
        "rmse": MetricInfo(False, digits=4, label="RMSE"),
    }

    def __init__(self, num_channels: int = 1, name: str = "regression_metrics") -> None:
        super().__init__(name=name)
        if num_channels < 1:
            raise ValueError(f"num_channels must be at least 1. Received: {num_channels}")
        self.num_channels = num_channels
        self.count = self.add_sum("count")
        self.absolute = self.add_sum("absolute")
        self.square = self.add_sum("square")

    @property
    def channels(self) -> int:
        """Channels of the prediction."""
        return self.num_channels

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch to the sums."""
        error = tf.abs(y_pred - tf.cast(y_true, tf.float32))
        self.absolute.assign_add(sum_where(tf.reduce_mean(error, -1), valid))
        self.square.assign_add(sum_where(tf.reduce_mean(tf.square(error), -1), valid))
        self.count.assign_add(sum_where(tf.ones_like(error[..., 0]), valid))

    def result(self) -> dict[str, tf.Tensor]:
        """Return `abs_error` and `rmse`."""
        count = tf.convert_to_tensor(self.count)
        absolute, square = (
            tf.math.divide_no_nan(tf.convert_to_tensor(total), count)
            for total in (self.absolute, self.square)
        )
        return {"abs_error": absolute, "rmse": tf.sqrt(square)}

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "num_channels": self.num_channels}
