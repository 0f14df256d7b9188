"""Sums, means and the like of `[K]` over the tasks that are present."""

import keras
import tensorflow as tf

_MIN_LOSS = 1e-8


def masked_sum(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the sum of `values [K]` where `mask [K]`."""
    return tf.reduce_sum(tf.where(mask, values, tf.zeros_like(values)))


def count(mask: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return the number of true elements of `mask [K]`, at least 1."""
    return tf.maximum(tf.reduce_sum(tf.cast(mask, dtype)), 1)


def masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the mean of `values [K]` where `mask [K]`, 0 if nowhere."""
    return masked_sum(values, mask) / count(mask, values.dtype)


def masked_softmax(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the softmax of `values [K]` over `mask [K]`, 0 elsewhere."""
    lowest = tf.constant(values.dtype.min, values.dtype)
    return tf.where(mask, tf.nn.softmax(tf.where(mask, values, lowest)), tf.zeros_like(values))


def safe_log(losses: tf.Tensor) -> tf.Tensor:
    """`log(losses)`; a loss below 1e-8 counts as 1e-8 and gets no gradient."""
    return tf.math.log(tf.maximum(losses, tf.constant(_MIN_LOSS, losses.dtype)))


def assign_where(variable: keras.Variable, value: tf.Tensor, mask: tf.Tensor) -> None:
    """Assign `value [K]` to a variable `[K]` where `mask [K]`."""
    old = tf.convert_to_tensor(variable)
    variable.assign(tf.where(mask, tf.cast(value, old.dtype), old))
