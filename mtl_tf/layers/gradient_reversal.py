"""Gradient reversal layer of adversarial training (Ganin and Lempitsky, ICML 2015)."""

from collections.abc import Callable

import tensorflow as tf


def reverse_gradient(x: tf.Tensor, factor: float | tf.Tensor) -> tf.Tensor:
    """Return `x` unchanged and multiply its gradient by `-factor`.

    Source: Ganin, Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.

    Args:
        x: floating-point tensor.
        factor: scalar.

    Returns:
        `x`.
    """

    @tf.custom_gradient
    def identity(y: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.identity(y), lambda upstream: -tf.cast(factor, upstream.dtype) * upstream

    return identity(x)
