"""Softmax cross-entropy of semantic segmentation and human parts (survey, section 4)."""

import keras
from keras import ops

from mtl_tf.losses.base import DenseLoss, weighted_mean
from mtl_tf.ops import upsample_cross_entropy
from mtl_tf.targets import TargetKind
from mtl_tf.typing import Tensor


def segmentation_cross_entropy(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Return the mean softmax cross-entropy over valid pixels.

    Args:
        y_true: class ids `[B, H, W, 1]`, integers in 0..C-1.
        y_pred: logits `[B, H, W, C]` float32.
        weights: validity mask `[B, H, W]` float32.

    Returns:
        float32 scalar.
    """
    labels = ops.cast(ops.squeeze(y_true, -1), "int32")
    values = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
    return weighted_mean(values, weights)


@keras.saving.register_keras_serializable(package="mtl_tf")
class SegmentationCrossEntropy(DenseLoss):
    """Softmax cross-entropy, mean over valid pixels: semseg and human parts.

    Call arguments: `y_true` class ids `[B, H, W, 1]`; `y_pred` logits `[B, H, W, C]`;
    `sample_weight` validity mask `[B, H, W]`. Returns a float32 scalar.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        name: name of the loss.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> y_true = keras.ops.ones((1, 4, 4, 1))
        >>> y_pred = keras.ops.ones((1, 4, 4, 3))
        >>> mtl.losses.SegmentationCrossEntropy()(y_true, y_pred).shape
        TensorShape([])
    """

    kind = TargetKind.CLASSES

    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `segmentation_cross_entropy` of the batch."""
        return segmentation_cross_entropy(y_true, y_pred, weights)

    def upsampled_and_masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `mtl_tf.ops.upsample_cross_entropy` of the batch."""
        labels = ops.cast(ops.squeeze(y_true, -1), "int32")
        return upsample_cross_entropy(y_pred, labels, weights)
