"""Base of all dense losses: the validity mask and the mean over valid pixels."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from mtl_tf.ops import bilinear
from mtl_tf.targets import TargetKind
from mtl_tf.typing import Tensor, TensorLike


def shapes_fit(a: Sequence[int | None], b: Sequence[int | None]) -> bool:
    """Return whether two shapes are equal where both are known."""
    return len(a) == len(b) and all(
        None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True)
    )


def validity(y_true: Tensor, sample_weight: TensorLike | None) -> Tensor:
    """Return weights `[B, H, W]` float32: `sample_weight`, or ones if it is `None`.

    Raises:
        ValueError: if `sample_weight` is not `[B, H, W]` for `y_true [B, H, W, C]`.
    """
    if sample_weight is None:
        return ops.ones(ops.shape(y_true)[:-1], "float32")
    weights = ops.cast(sample_weight, "float32")
    if not shapes_fit(weights.shape, y_true.shape[:-1]):
        raise ValueError(
            "sample_weight must be the validity mask [B, H, W] of y_true [B, H, W, C]. "
            f"Received: sample_weight.shape={tuple(weights.shape)}, "
            f"y_true.shape={tuple(y_true.shape)}"
        )
    return weights


def valid_or_zero(y_true: TensorLike, weights: Tensor) -> Tensor:
    """Return `y_true [B, H, W, C]` with 0 where `weights [B, H, W]` is 0."""
    y_true = ops.convert_to_tensor(y_true)
    return ops.where(ops.expand_dims(weights, -1) > 0, y_true, ops.zeros_like(y_true))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return `sum(values * weights) / sum(weights)`, 0 if all weights are 0.

    Args:
        values: `[B, H, W]` float32.
        weights: `[B, H, W]` float32.
    """
    return ops.divide_no_nan(ops.sum(values * weights), ops.sum(weights))


class DenseLoss(keras.losses.Loss, abc.ABC):
    """Base of the dense losses: a scalar from `(y_true, y_pred, sample_weight)`.

    Subclasses implement `masked`.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> class Squared(mtl.losses.DenseLoss):
        ...     def masked(self, y_true, y_pred, weights):
        ...         return keras.ops.mean(weights[..., None] * (y_pred - y_true) ** 2)
        >>> y = keras.ops.ones((1, 4, 4, 1))
        >>> Squared()(y, y).shape
        TensorShape([])
    """

    kind: ClassVar[TargetKind | None] = None
    """Kind of the targets, if the loss is specific to one."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> Tensor:
        """Return the mean loss over valid pixels, a float32 scalar."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if not shapes_fit(y_true.shape[:-1], y_pred.shape[:-1]):
            raise ValueError(
                f"{type(self).__name__} needs y_true and y_pred of one batch size, height and "
                f"width. Received: y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        weights = validity(y_true, sample_weight)
        return self.masked(valid_or_zero(y_true, weights), ops.cast(y_pred, "float32"), weights)

    def of_upsampled(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> Tensor:
        """Return the loss of predictions upsampled bilinearly to the size of `y_true`.

        A loss that does not need to store the upsampled predictions overrides
        `upsampled_and_masked`.

        Args:
            y_true: targets `[B, H, W, C]`.
            y_pred: predictions `[B, h, w, C]`.
            sample_weight: validity mask `[B, H, W]`; all pixels are valid without it.

        Returns:
            float32 scalar.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_pred = ops.cast(y_pred, "float32")
        weights = validity(y_true, sample_weight)
        return self.upsampled_and_masked(valid_or_zero(y_true, weights), y_pred, weights)

    def upsampled_and_masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `masked` of float32 predictions `[B, h, w, C]`, upsampled to the targets' size."""
        height, width = ops.shape(y_true)[1:3]
        return self.masked(y_true, bilinear(y_pred, height, width), weights)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        config = super().get_config()
        del config["reduction"]  # always the mean over valid pixels
        return config

    @abc.abstractmethod
    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return the loss of targets that are 0 where `weights [B, H, W]` is 0."""

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        """Return the loss with all pixels valid."""
        return self(y_true, y_pred)
