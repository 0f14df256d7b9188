"""F of edges at a fixed threshold, with a localisation tolerance.

The sigmoid of the prediction is binarised at `threshold`. A predicted edge pixel is a true positive
if a target edge pixel is within `tolerance` times the image diagonal of it; a target edge pixel is
detected if a predicted one is within that distance (square window). Counts are pooled over images.
No thinning and no one-to-one matching: this is not the odsF of the benchmark tables.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo, sum_where
from mtl_tf.targets import TargetKind


def dilate(mask: tf.Tensor, radius: int | tf.Tensor) -> tf.Tensor:
    """Return the pixels `[B, H, W]` within `radius` of a true pixel of `mask [B, H, W]`.

    Args:
        mask: `[B, H, W]` bool.
        radius: in rows and columns: an integer, or an int32 scalar if the image size is dynamic.
    """
    dilated = tf.cast(mask, tf.float32)[..., None]
    if isinstance(radius, int):
        return tf.nn.max_pool2d(dilated, 2 * radius + 1, 1, "SAME")[..., 0] > 0.5
    _, dilated = tf.while_loop(
        lambda i, _: i < radius,
        lambda i, x: (i + 1, tf.nn.max_pool2d(x, 3, 1, "SAME")),
        [tf.constant(0), dilated],
    )
    return dilated[..., 0] > 0.5


def radius_pixels(tolerance: float, image: tf.Tensor) -> int | tf.Tensor:
    """Return `tolerance` times the diagonal of `image [B, H, W, ...]`, rounded to pixels."""
    height, width = image.shape[1:3]
    if height is not None and width is not None:
        return round(tolerance * math.hypot(height, width))
    sides = tf.cast(tf.shape(image)[1:3], tf.float64)
    return tf.cast(tf.round(tolerance * tf.norm(sides)), tf.int32)


@keras.saving.register_keras_serializable(package="mtl_tf")
class EdgeMetrics(DenseMetric):
    """F, precision and recall of edges at a fixed threshold, as fractions.

    Results: `f`, `precision`, `recall`.

    `y_true` is `[B, H, W, 1]`, an edge where >= 0.5; `y_pred` holds logits `[B, H, W, 1]`.

    Source: after the boundary benchmark of Martin et al. 2004, without its one-to-one matching.

    Args:
        threshold: minimum sigmoid of an edge pixel. The default is above 0.5 because the balanced
            loss with weight 0.95 of positives yields a sigmoid of 0.95 at probability 0.5.
        tolerance: localisation tolerance as a fraction of the image diagonal, rounded to pixels:
            one pixel at 288x384 by default; 0 requires the exact pixel.
        name: name of the metric.

    Raises:
        ValueError: if `threshold` is not in (0, 1), `tolerance` is negative, or shapes do not fit
            together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.EdgeMetrics()
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((1, 8, 8, 1)))
        >>> sorted(metric.result())
        ['f', 'precision', 'recall']
    """

    kind = TargetKind.BOUNDARY
    info: ClassVar[Mapping[str, MetricInfo]] = {
        name: MetricInfo(True, "%", label=label)
        for name, label in (
            ("f", "F at a fixed threshold"),
            ("precision", "precision"),
            ("recall", "recall"),
            ("ods_f", "ODS F"),
            ("ois_f", "OIS F"),
            ("ap", "average precision"),
        )
    }

    def __init__(
        self, threshold: float = 0.85, tolerance: float = 0.0025, name: str = "edge_metrics"
    ) -> None:
        super().__init__(name=name)
        if not 0.0 < threshold < 1.0:
            raise ValueError(f"threshold must be between 0 and 1. Received: {threshold}")
        if tolerance < 0.0:
            raise ValueError(f"tolerance must not be negative. Received: {tolerance}")
        self.threshold = threshold
        self.tolerance = tolerance
        self.num_predicted = self.add_sum("num_predicted")
        self.num_right = self.add_sum("num_right")
        self.num_target = self.add_sum("num_target")
        self.num_detected = self.add_sum("num_detected")

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch to the four counts."""
        if len(valid.shape) == 1:
            raise ValueError(
                "EdgeMetrics needs maps [B, H, W, 1], in which edges have a place. Received: "
                f"y_true.shape={y_true.shape}"
            )
        radius = radius_pixels(self.tolerance, y_true)
        target = (tf.cast(y_true[..., 0], tf.float32) >= 0.5) & valid
        predicted = (tf.sigmoid(y_pred[..., 0]) >= self.threshold) & valid
        self.num_predicted.assign_add(sum_where(predicted, valid))
        self.num_right.assign_add(sum_where(predicted & dilate(target, radius), valid))
        self.num_target.assign_add(sum_where(target, valid))
        self.num_detected.assign_add(sum_where(target & dilate(predicted, radius), valid))

    def result(self) -> dict[str, tf.Tensor]:
        """Return `f`, `precision` and `recall`, fractions."""
        right, predicted, detected, target = (
            tf.convert_to_tensor(count)
            for count in (self.num_right, self.num_predicted, self.num_detected, self.num_target)
        )
        precision = tf.math.divide_no_nan(right, predicted)
        recall = tf.math.divide_no_nan(detected, target)
        f = tf.math.divide_no_nan(2 * precision * recall, precision + recall)
        return {"f": f, "precision": precision, "recall": recall}

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        config = {"threshold": self.threshold, "tolerance": self.tolerance}
        return {**super().get_config(), **config}
