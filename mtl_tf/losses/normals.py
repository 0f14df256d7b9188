"""Absolute error of unit surface normals (survey, section 4)."""

import keras
from keras import ops

from mtl_tf.losses.base import DenseLoss, weighted_mean
from mtl_tf.targets import TargetKind
from mtl_tf.typing import Tensor

_SQUARED_LENGTH_FLOOR = 1e-12


def unit_vectors(vectors: Tensor) -> Tensor:
    """Normalise vectors `[..., 3]`; those shorter than 1e-6 stay, for finite gradients."""
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    is_long = squared > _SQUARED_LENGTH_FLOOR
    return vectors * ops.where(is_long, ops.rsqrt(ops.where(is_long, squared, 1.0)), 1.0)


def normals_l1(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Return the mean absolute error of the normalised prediction over valid pixels.

    Args:
        y_true: unit normals `[B, H, W, 3]` float32.
        y_pred: vectors of any length `[B, H, W, 3]` float32; normalised here.
        weights: validity mask `[B, H, W]` float32.

    Returns:
        float32 scalar.
    """
    errors = ops.abs(unit_vectors(y_pred) - ops.cast(y_true, y_pred.dtype))
    return weighted_mean(ops.mean(errors, axis=-1), weights)


@keras.saving.register_keras_serializable(package="mtl_tf")
class NormalsL1(DenseLoss):
    """Absolute error of the normalised prediction, mean over the components of valid pixels.

    Call arguments: `y_true` unit normals and `y_pred` vectors of any length `[B, H, W, 3]`;
    `sample_weight` validity mask `[B, H, W]`. Returns a float32 scalar.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        name: name of the loss.

    Raises:
        ValueError: if shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> y_true = keras.ops.ones((1, 4, 4, 3))
        >>> mtl.losses.NormalsL1()(y_true, y_true).shape
        TensorShape([])
    """

    kind = TargetKind.DIRECTION

    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `normals_l1` of the batch."""
        if y_true.shape[-1] != y_pred.shape[-1]:
            raise ValueError(
                "NormalsL1 needs y_true and y_pred [B, H, W, 3]. Received: "
                f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
            )
        return normals_l1(y_true, y_pred, weights)
