"""Losses of low-resolution predictions at the resolution of their targets."""

from collections.abc import Callable

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._features import differentiate_twice
from mtl_tf.typing import TensorLike

_WithGradient = tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]


def upsample_cross_entropy(
    logits: TensorLike, labels: TensorLike, weights: "TensorLike | None" = None
) -> tf.Tensor:
    """Softmax cross-entropy of bilinearly upsampled logits, which are never stored.

    The logits of each pixel are made from their four neighbours where they are needed, in the same
    pass as the gradient, which is as small as the logits that were given.

    Source: the loss of Vandenhende et al., TPAMI 2021, section 4, on predictions enlarged with
    half-pixel centres.

    Args:
        logits: `[B, h, w, C]` floating point.
        labels: class ids `[B, H, W]`, integers in 0..C-1 where the weight is not 0.
        weights: validity mask `[B, H, W]`, not negative; every pixel counts without it. It is taken
            as constant.

    Returns:
        Scalar, the mean over valid pixels, 0 if there is none: float32, for float64 logits float64.
        A label out of range makes it NaN.

    Raises:
        ValueError: if the shapes do not fit or the dtypes are not floating point and integer.
    """
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer:
        raise ValueError(f"labels must be integers. Received: {labels.dtype.name}")
    weights = _check(logits, labels, "labels", 3, weights)
    return _loss("upsample_cross_entropy", logits, tf.cast(labels, tf.int32), weights)


def upsample_l1(
    predictions: TensorLike, targets: TensorLike, weights: "TensorLike | None" = None
) -> tf.Tensor:
    """Mean absolute error of bilinearly upsampled predictions, which are never stored.

    Source: as `upsample_cross_entropy`.

    Args:
        predictions: `[B, h, w, C]` floating point.
        targets: `[B, H, W, C]` floating point.
        weights: validity mask `[B, H, W]`, see `upsample_cross_entropy`.

    Returns:
        Scalar, the mean over channels and valid pixels, 0 if there is none: float32, for float64
        predictions float64.

    Raises:
        ValueError: if the shapes do not fit or the dtypes are not floating point.
    """
    predictions, targets = tf.convert_to_tensor(predictions), tf.convert_to_tensor(targets)
    weights = _check(predictions, targets, "targets", 4, weights)
    if not targets.shape[-1:].is_compatible_with(predictions.shape[-1:]):
        raise ValueError(
            f"targets must have the {predictions.shape[-1]} channels of the predictions. "
            f"Received: {tuple(targets.shape)}"
        )
    return _loss("upsample_l1", predictions, targets, weights)


def _check(
    small: tf.Tensor, targets: tf.Tensor, name: str, rank: int, weights: "TensorLike | None"
) -> tf.Tensor:
    """Return the weights `[B, H, W]`; `ValueError` for what does not fit."""
    if not small.dtype.is_floating or small.shape.rank != 4:
        raise ValueError(
            "Predictions must be floating point [B, h, w, C]. Received: "
            f"{small.dtype.name} {small.shape}"
        )
    if targets.shape.rank != rank or not targets.shape[:1].is_compatible_with(small.shape[:1]):
        expected = "[B, H, W]" if rank == 3 else "[B, H, W, C]"
        raise ValueError(
            f"{name} must be {expected} for predictions {tuple(small.shape)}. "
            f"Received: {tuple(targets.shape)}"
        )
    if weights is None:
        return tf.ones(tf.shape(targets)[:3], _dtype(small))
    mask = tf.convert_to_tensor(weights)
    if not mask.shape.is_compatible_with(targets.shape[:3]):
        raise ValueError(
            f"weights must be [B, H, W] for {name} {tuple(targets.shape)}. "
            f"Received: {tuple(mask.shape)}"
        )
    return mask


def _dtype(small: tf.Tensor) -> tf.DType:
    return tf.float64 if small.dtype == tf.float64 else tf.float32


def _loss(name: str, small: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    dtype = _dtype(small)
    small, weights = tf.cast(small, dtype), tf.stop_gradient(tf.cast(weights, dtype))
    if targets.dtype.is_floating:
        targets = tf.stop_gradient(tf.cast(targets, dtype))

    def plain(values: tf.Tensor) -> tf.Tensor:
        return getattr(reference, name)(values, targets, weights)

    library = _library.tensorflow_ops()
    if library is None or dtype == tf.float64:
        return plain(small)
    kernel = getattr(library, f"mtl_{name}")
    return _with_gradients(small, lambda values: kernel(values, targets, weights), plain)


def _with_gradients(
    small: tf.Tensor,
    fused: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    plain: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """`fused(small)` is the loss and its gradient; gradients beyond the first are those of `plain`.

    (The nesting is TensorFlow's for second-order gradients, see `tf.custom_gradient`.)
    """

    @tf.custom_gradient
    def loss(values: tf.Tensor) -> _WithGradient:
        result, slope = fused(values)

        def first(upstream: tf.Tensor) -> tf.Tensor:
            @tf.custom_gradient
            def slope_of(same_values: tf.Tensor) -> _WithGradient:
                def second(vector: tf.Tensor) -> tf.Tensor:
                    _, of_values = differentiate_twice(
                        lambda v: [plain(v)], [same_values], [tf.ones_like(result)], [vector]
                    )
                    return of_values[0]

                return slope, second

            return upstream * slope_of(values)

        return result, first

    return loss(small)
