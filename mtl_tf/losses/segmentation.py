"""Softmax cross-entropy of semantic segmentation and human parts (survey, section 4)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mtl_tf.losses.base import DenseLoss, weighted_mean
from mtl_tf.ops import upsample_cross_entropy
from mtl_tf.targets import TargetKind
from mtl_tf.typing import Tensor


def segmentation_cross_entropy(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean softmax cross-entropy over valid pixels.

    With label smoothing s the cross-entropy of a pixel is `(1 - s) CE(y) + s mean_c CE(c)`.

    Args:
        y_true: class ids `[B, H, W, 1]`, integers in 0..C-1.
        y_pred: logits `[B, H, W, C]` float32.
        weights: weight of each pixel `[B, H, W]` float32, such as its validity.
        label_smoothing: part of the target that all classes share.

    Returns:
        float32 scalar.
    """
    labels = ops.cast(ops.squeeze(y_true, -1), "int32")
    values = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
    if label_smoothing:
        of_all = -ops.mean(ops.log_softmax(y_pred), axis=-1)
        values = (1.0 - label_smoothing) * values + label_smoothing * of_all
    return weighted_mean(values, weights)


def class_weighted(y_true: Tensor, weights: Tensor, class_weights: Sequence[float]) -> Tensor:
    """Return the weight of each pixel times that of its class.

    Args:
        y_true: class ids `[B, H, W, 1]`.
        weights: validity mask `[B, H, W]` float32.
        class_weights: a number for each class.

    Returns:
        float32 `[B, H, W]`.
    """
    of_class = ops.convert_to_tensor(np.asarray(class_weights, np.float32))
    return weights * ops.take(of_class, ops.cast(ops.squeeze(y_true, -1), "int32"))


@keras.saving.register_keras_serializable(package="mtl_tf")
class SegmentationCrossEntropy(DenseLoss):
    """Softmax cross-entropy, mean over valid pixels: semseg and human parts.

    Call arguments: `y_true` class ids `[B, H, W, 1]`; `y_pred` logits `[B, H, W, C]`;
    `sample_weight` validity mask `[B, H, W]`. Returns a float32 scalar.

    Source: Vandenhende et al., TPAMI 2021, section 4; label smoothing: Szegedy et al., CVPR 2016.

    Args:
        class_weights: a positive number for each of the C classes, such as those of
            `mtl_tf.losses.class_weights`; the mean over pixels is weighted by that of their class.
        label_smoothing: part of the target, 0 to 1, that all classes share.
        name: name of the loss.

    Raises:
        ValueError: if shapes do not fit together, or a weight or the smoothing is out of range.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> y_true = keras.ops.ones((1, 4, 4, 1))
        >>> y_pred = keras.ops.ones((1, 4, 4, 3))
        >>> mtl.losses.SegmentationCrossEntropy()(y_true, y_pred).shape
        TensorShape([])
    """

    kind = TargetKind.CLASSES

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if class_weights is not None:
            class_weights = [float(weight) for weight in class_weights]
            if not class_weights or not all(0.0 < w < float("inf") for w in class_weights):
                raise ValueError(
                    f"class_weights must hold a positive number per class. Received: "
                    f"{class_weights}"
                )
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1). Received: {label_smoothing!r}")
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing

    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `segmentation_cross_entropy` of the batch."""
        weights = self._weights(y_true, y_pred, weights)
        return segmentation_cross_entropy(y_true, y_pred, weights, self.label_smoothing)

    def upsampled_and_masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `mtl_tf.ops.upsample_cross_entropy` of the batch."""
        if self.label_smoothing:
            return super().upsampled_and_masked(y_true, y_pred, weights)
        labels = ops.cast(ops.squeeze(y_true, -1), "int32")
        return upsample_cross_entropy(y_pred, labels, self._weights(y_true, y_pred, weights))

    def _weights(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        if self.class_weights is None:
            return weights
        if y_pred.shape[-1] != len(self.class_weights):
            raise ValueError(
                f"class_weights must hold {y_pred.shape[-1]} numbers, one per class of the "
                f"prediction. Received: {len(self.class_weights)}"
            )
        return class_weighted(y_true, weights, self.class_weights)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        config = super().get_config()
        return {
            **config,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }
