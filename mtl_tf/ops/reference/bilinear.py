"""Bilinear resizing with half-pixel centres, as the survey's models resize everywhere."""

from collections.abc import Callable

import tensorflow as tf

from mtl_tf.ops._library import is_portable

_WithGradient = tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]


def bilinear(x: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Bilinear resizing with gradients of every order, which TensorFlow's own stops at the first.

    Inside `portable()` it is TensorFlow's own: an exported file needs no gradients.

    Args:
        x: floating point `[B, h, w, C]`.
        height: new height, a number or scalar tensor.
        width: new width, a number or scalar tensor.

    Returns:
        `[B, height, width, C]` in the dtype of `x`, computed in float32.
    """
    if is_portable():
        large = tf.raw_ops.ResizeBilinear(images=x, size=[height, width], half_pixel_centers=True)
        return tf.cast(large, x.dtype)

    @tf.custom_gradient
    def enlarge(small: tf.Tensor) -> _WithGradient:
        large = tf.raw_ops.ResizeBilinear(
            images=small, size=[height, width], half_pixel_centers=True
        )
        return tf.cast(large, x.dtype), transpose

    @tf.custom_gradient
    def transpose(large: tf.Tensor) -> _WithGradient:
        small = tf.raw_ops.ResizeBilinearGrad(
            grads=tf.cast(large, tf.float32),
            original_image=tf.cast(x, tf.float32),
            half_pixel_centers=True,
        )
        return tf.cast(small, x.dtype), enlarge

    return enlarge(x)
