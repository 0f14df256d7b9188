"""Mean intersection over union and pixel accuracy (survey, section 4).

Pooled over all valid pixels of all images. The mean is over all classes, background included; a
class that is neither present nor predicted counts 0. No crop.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from mtl_tf.metrics.base import DenseMetric, MetricInfo
from mtl_tf.targets import TargetKind


def iou_per_class(confusion: tf.Tensor) -> tf.Tensor:
    """Return the intersection over union `[C]` float64 of a confusion matrix.

    Args:
        confusion: `[C, C]`, targets in rows, predictions in columns.
    """
    intersection = tf.linalg.diag_part(confusion)
    union = tf.reduce_sum(confusion, 0) + tf.reduce_sum(confusion, 1) - intersection
    return tf.math.divide_no_nan(intersection, union)


@keras.saving.register_keras_serializable(package="mtl_tf")
class SegmentationMetrics(DenseMetric):
    """Mean IoU and pixel accuracy of class maps, as fractions.

    Results: `miou`, `pixel_accuracy`.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        num_classes: number of classes C; `y_pred` holds logits `[B, H, W, C]`, `y_true` class ids
            `[B, H, W, 1]`.
        skip_background_images: exclude images in which no valid pixel has a class above 0, as the
            survey does for human parts.
        name: name of the metric.

    Raises:
        ValueError: if `num_classes` is below 2, or shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> metric = mtl.metrics.SegmentationMetrics(num_classes=3)
        >>> metric.update_state(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((1, 8, 8, 3)))
        >>> sorted(metric.result())
        ['miou', 'pixel_accuracy']
    """

    kind = TargetKind.CLASSES
    info: ClassVar[Mapping[str, MetricInfo]] = {
        "miou": MetricInfo(True, "%", label="mean IoU"),
        "pixel_accuracy": MetricInfo(True, "%", label="pixel accuracy"),
    }

    def __init__(
        self,
        num_classes: int,
        skip_background_images: bool = False,
        name: str = "segmentation_metrics",
    ) -> None:
        super().__init__(name=name)
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2. Received: {num_classes}")
        self.num_classes = num_classes
        self.skip_background_images = skip_background_images
        self.confusion = self.add_sum("confusion", (num_classes, num_classes))

    @property
    def channels(self) -> int:
        """Channels of the prediction."""
        return self.num_classes

    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch to the confusion matrix."""
        target = tf.cast(y_true[..., 0], tf.int32)
        predicted = tf.argmax(y_pred, axis=-1, output_type=tf.int32)
        if self.skip_background_images:
            pixels = list(range(1, len(target.shape)))
            valid &= tf.reduce_any(target > 0, axis=pixels, keepdims=True)
        cells = tf.where(valid, target * self.num_classes + predicted, -1)
        counts = tf.math.unsorted_segment_sum(
            tf.ones_like(cells), cells, num_segments=self.num_classes**2
        )
        counts = tf.reshape(counts, [self.num_classes, self.num_classes])
        self.confusion.assign_add(tf.cast(counts, tf.float64))

    def result(self) -> dict[str, tf.Tensor]:
        """Return `miou` and `pixel_accuracy`, fractions."""
        confusion = tf.convert_to_tensor(self.confusion)
        correct = tf.linalg.trace(confusion)
        return {
            "miou": tf.reduce_mean(iou_per_class(confusion)),
            "pixel_accuracy": tf.math.divide_no_nan(correct, tf.reduce_sum(confusion)),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "skip_background_images": self.skip_background_images,
        }
