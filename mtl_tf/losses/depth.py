"""Absolute error of depth in metres (survey, section 4)."""

from typing import Any

import keras
from keras import ops

from mtl_tf.losses.base import DenseLoss, weighted_mean
from mtl_tf.ops import upsample_l1


def depth_l1(y_true: Any, y_pred: Any, weights: Any) -> Any:
    """Mean absolute error over valid pixels.

    Args:
        y_true: depth in metres `[B, H, W, 1]` float32.
        y_pred: depth in metres `[B, H, W, 1]` float32.
        weights: validity mask `[B, H, W]` float32.

    Returns:
        float32 scalar, metres.
    """
    errors = ops.squeeze(ops.abs(y_pred - ops.cast(y_true, y_pred.dtype)), -1)
    return weighted_mean(errors, weights)


@keras.saving.register_keras_serializable(package="mtl_tf")
class DepthL1(DenseLoss):
    """Absolute error in metres, mean over valid pixels.

    Call arguments: `y_true` and `y_pred` depth in metres `[B, H, W, 1]`; `sample_weight` validity
    mask `[B, H, W]`. Returns a float32 scalar.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        name: name of the loss.

    Raises:
        ValueError: if shapes do not fit together.
    """

    def masked(self, y_true: Any, y_pred: Any, weights: Any) -> Any:
        """See `depth_l1`."""
        return depth_l1(y_true, y_pred, weights)

    def enlarged_and_masked(self, y_true: Any, y_pred: Any, weights: Any) -> Any:
        """See `mtl_tf.ops.upsample_l1`."""
        return upsample_l1(y_pred, ops.cast(y_true, "float32"), weights)
