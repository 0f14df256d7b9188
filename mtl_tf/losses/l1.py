"""Absolute error of depth in metres (survey, section 4) and of other real-valued maps."""

import keras
from keras import ops

from mtl_tf.losses.base import DenseLoss, shapes_fit, weighted_mean
from mtl_tf.ops import upsample_l1
from mtl_tf.typing import Tensor


def l1(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Return the mean absolute error over channels and valid pixels.

    Args:
        y_true: targets `[B, H, W, C]` float32, depth in metres.
        y_pred: predictions `[B, H, W, C]` float32.
        weights: validity mask `[B, H, W]` float32.

    Returns:
        float32 scalar in the unit of the targets.

    Raises:
        ValueError: if the channels differ.
    """
    if not shapes_fit(y_true.shape[-1:], y_pred.shape[-1:]):
        raise ValueError(
            "y_true and y_pred must have the same channels. Received: "
            f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
        )
    errors = ops.mean(ops.abs(y_pred - ops.cast(y_true, y_pred.dtype)), -1)
    return weighted_mean(errors, weights)


@keras.saving.register_keras_serializable(package="mtl_tf")
class L1(DenseLoss):
    """Absolute error, mean over channels and valid pixels.

    Call arguments: `y_true` and `y_pred` `[B, H, W, C]`, depth in metres; `sample_weight` validity
    mask `[B, H, W]`. Returns a float32 scalar.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        name: name of the loss.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> y_true = keras.ops.ones((1, 4, 4, 1))
        >>> mtl.losses.L1()(y_true, y_true).shape
        TensorShape([])
    """

    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `l1` of the batch."""
        return l1(y_true, y_pred, weights)

    def upsampled_and_masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `mtl_tf.ops.upsample_l1` of the batch."""
        return upsample_l1(y_pred, ops.cast(y_true, "float32"), weights)
