"""Any loss of Keras or of a user as the mean over valid pixels.

What a function returns says how it can be masked:

============================ ===================================================================
it returns                   the mask
============================ ===================================================================
one number per pixel         weights the mean over pixels; a last axis is averaged first
one number per image, or one the function is given the valid pixels alone, as one row; so it may
                             not look at neighbouring pixels, which a test with shuffled pixels
                             shows
============================ ===================================================================
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.losses import DenseLoss
from mtl_tf.targets import TargetKind

_PROBE = (8, 8)  # pixels


class MaskedLoss(keras.losses.Loss):
    """A function of `(y_true, y_pred)` as the mean over valid pixels, 0 if there is none.

    Args:
        function: from targets `[B, H, W, C]` and predictions `[B, H, W, C]` (of whole images
            `[B, C]`) to `[B, H, W]`, `[B, H, W, C]`, `[B]` or a scalar.
        task: name of the task, for errors.
        kind: of its targets.
        original: the loss as the user gave it, for saving and errors.
    """

    def __init__(
        self, function: Callable[..., Any], task: str, kind: TargetKind, original: Any
    ) -> None:
        super().__init__(name=f"masked_{getattr(original, 'name', None) or 'loss'}")
        self.function, self.task, self.kind, self.original = function, task, kind, original

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The mean over valid pixels, a float32 scalar.

        Raises:
            ValueError: if the function's result cannot be masked.
        """
        y_true, y_pred = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)
        if sample_weight is None:
            return tf.reduce_mean(tf.cast(self._values(y_true, y_pred), tf.float32))
        weights = tf.cast(sample_weight, tf.float32)
        y_true = tf.where(weights[..., None] > 0, y_true, tf.zeros_like(y_true))
        values = self._values(y_true, y_pred)
        rank = len(values.shape)
        if rank == len(y_true.shape):
            values, rank = tf.reduce_mean(values, axis=-1), rank - 1
        if rank == len(weights.shape):
            values = tf.where(weights > 0, tf.cast(values, tf.float32) * weights, 0.0)
            return tf.math.divide_no_nan(tf.reduce_sum(values), tf.reduce_sum(weights))
        self._check_that_pixels_stand_alone(y_true, y_pred)
        return self._of_valid_pixels(y_true, y_pred, weights > 0)

    def _values(self, y_true: Any, y_pred: Any) -> Any:
        values = tf.convert_to_tensor(self.function(y_true, y_pred))
        rank = values.shape.rank
        full = y_true.shape.rank
        fits = rank in (0, 1, full - 1, full) if rank is not None else False
        if rank == full - 1 > 1 and fits:
            fits = values.shape.is_compatible_with(y_true.shape[:-1])
        if not fits:
            raise ValueError(
                f"The loss of task {self.task!r}, {self._name()}, must return one number per pixel "
                f"{y_true.shape[:-1]}, per image [B], or one. Received: shape {values.shape}"
            )
        return values

    def _of_valid_pixels(self, y_true: Any, y_pred: Any, is_valid: Any) -> tf.Tensor:
        def chosen(x: Any) -> Any:
            pixels = tf.boolean_mask(x, is_valid)
            return pixels if x.shape.rank == 2 else pixels[None, :, None]

        def loss() -> tf.Tensor:
            return tf.reduce_mean(
                tf.cast(self.function(chosen(y_true), chosen(y_pred)), tf.float32)
            )

        return tf.cond(tf.reduce_any(is_valid), loss, lambda: tf.zeros([]))

    def _check_that_pixels_stand_alone(self, y_true: Any, y_pred: Any) -> None:
        """`ValueError` if shuffled pixels have another loss, so that some cannot be left out."""
        if y_true.shape.rank == 2:
            return
        r = np.random.default_rng(0)
        shape = (1, *_PROBE)
        predicted = r.normal(size=(*shape, y_pred.shape[-1])).astype(np.float32)
        target = r.uniform(0, 1, (*shape, y_true.shape[-1])).astype(np.float32)
        if self.kind is TargetKind.CLASSES:
            target = np.floor(target * y_pred.shape[-1])
        order = r.permutation(_PROBE[0] * _PROBE[1])
        losses = []
        with tf.init_scope():
            for pixels in (slice(None), order):
                one, two = (
                    x.reshape(1, -1, 1, x.shape[-1])[:, pixels].reshape(x.shape)
                    for x in (target, predicted)
                )
                try:
                    losses.append(np.mean(self.function(tf.constant(one), tf.constant(two))))
                except Exception as error:  # a user's function may raise anything
                    raise ValueError(self._cannot_be_masked()) from error
        if not np.allclose(losses[0], losses[1], rtol=1e-4, atol=1e-6, equal_nan=True):
            raise ValueError(self._cannot_be_masked())

    def _cannot_be_masked(self) -> str:
        return (
            f"The loss of task {self.task!r}, {self._name()}, returns one number per image or "
            "batch and looks at more than one pixel at a time: invalid pixels cannot be left out "
            "of it. Return one number per pixel [B, H, W], derive from mtl_tf.losses.DenseLoss, "
            "which is given the mask, or train without masks for this task"
        )

    def _name(self) -> str:
        return getattr(self.original, "__name__", None) or type(self.original).__name__

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss with every pixel valid."""
        return self(y_true, y_pred)


def as_loss(loss: Any, task: str, kind: TargetKind) -> Any:
    """A loss whose mean is over valid pixels, from one, or from a name or function of Keras.

    Args:
        loss: what a user gave.
        task: name of its task, for errors.
        kind: of the task's targets.

    Raises:
        ValueError: for an unknown name, or a loss with `reduction="sum"`.
    """
    try:
        loss = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"loss of task {task!r} must be a Keras loss, its name, or a function of (y_true, "
            f"y_pred). Received: {loss!r}"
        ) from error
    if isinstance(loss, DenseLoss):
        return loss
    if not isinstance(loss, keras.losses.Loss):
        return MaskedLoss(loss, task, kind, loss)
    if loss.reduction == "sum":
        raise ValueError(
            f"The loss of task {task!r}, {type(loss).__name__}, has reduction='sum', which grows "
            "with the number of pixels: leave reduction out and use loss_weights"
        )
    return MaskedLoss(loss.call, task, kind, loss)


def masked_function(function: Callable[..., Any], task: str, kind: TargetKind) -> Any:
    """A user's function of `(y_true, y_pred)` as a Keras metric: the mean over valid pixels."""
    metric = MaskedMean(name=function.__name__)
    metric.loss = MaskedLoss(function, task, kind, function)
    return metric


class MaskedMean(keras.metrics.Mean):
    """The mean of a masked function over all batches, weighted by their valid pixels."""

    loss: MaskedLoss

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        value = self.loss(y_true, y_pred, sample_weight)
        if sample_weight is None:
            count = tf.cast(tf.reduce_prod(tf.shape(y_true)[:-1]), tf.float32)
        else:
            count = tf.reduce_sum(tf.cast(sample_weight, tf.float32))
        super().update_state(value, count)
