"""References of the ops on task gradients."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mtl_tf.ops._gradients import (
    check_leak,
    check_order,
    check_uniform,
    check_vector,
    dense_task_gradients,
)
from mtl_tf.ops.reference.balance import balance
from mtl_tf.typing import TaskGradients, TensorLike


def gramian(task_gradients: TaskGradients) -> tf.Tensor:
    """Inner products of all pairs of task gradients, in pure TensorFlow.

    Args:
        task_gradients: K lists of V tensors of any shape; `None` stands for zero and takes no
            part: its products are zero, with an infinity too.

    Returns:
        Tensor `[K, K]` float64.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks.
    """
    rows = dense_task_gradients(task_gradients)
    total = tf.zeros([len(rows), len(rows)], tf.float64)
    for column in zip(*rows, strict=True):
        present = [g for g in column if g is not None]
        if not present:
            continue
        zero = tf.zeros([tf.size(present[0])], tf.float64)
        jacobian = tf.stack(
            [zero if g is None else tf.cast(tf.reshape(g, [-1]), tf.float64) for g in column]
        )
        is_present = [g is not None for g in column]
        products = tf.matmul(jacobian, jacobian, transpose_b=True)
        total += tf.where(np.outer(is_present, is_present), products, tf.zeros_like(products))
    return (total + tf.transpose(total)) / 2  # symmetric to the last bit


def weighted_sum(task_gradients: TaskGradients, weights: TensorLike) -> list[tf.Tensor | None]:
    """Weighted sum of task gradients, in pure TensorFlow.

    Args:
        task_gradients: K lists of V tensors; `None` stands for zero.
        weights: `[K]` floating point.

    Returns:
        V tensors of the gradients' shapes and dtypes; `None` where every task has `None`.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `weights` is not `[K]`.
    """
    rows = dense_task_gradients(task_gradients)
    weights = check_vector(weights, "weights", len(rows), tf.float64)
    return [_sum(column, tf.unstack(weights, len(rows))) for column in zip(*rows, strict=True)]


def gradient_projection(
    task_gradients: TaskGradients, order: TensorLike
) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """PCGrad's sum of projected task gradients, in pure TensorFlow.

    Args:
        task_gradients: K lists of V tensors; `None` stands for zero.
        order: `[K, K-1]` int32; row i lists the other tasks in the order in which i meets them.

    Returns:
        `(directions, weights)`: V tensors, and `[K]` float64.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `order` is not `[K, K-1]`.
    """
    rows = dense_task_gradients(task_gradients)
    order = check_order(order, len(rows))
    weights = tf.stop_gradient(balance(gramian(rows), "pcgrad", order=order))
    return weighted_sum(rows, weights), weights


def grad_drop(
    task_gradients: TaskGradients, uniform: "Sequence[TensorLike | None]", leak: TensorLike = 0.0
) -> list[tf.Tensor | None]:
    """GradDrop's sum of task gradients, in pure TensorFlow.

    Args:
        task_gradients: K lists of V tensors; `None` stands for zero.
        uniform: V tensors of random numbers in [0, 1), shaped like the gradients.
        leak: `[K]`, or one number for all, 0 to 1.

    Returns:
        V tensors of the gradients' shapes and dtypes; `None` where every task has `None`.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `uniform` does not hold V tensors of the gradients' shapes, or `leak` is not `[K]`.
    """
    rows = dense_task_gradients(task_gradients)
    shares = [
        [None if share is None else tf.stop_gradient(share) for share in row]
        for row in grad_drop_shares(rows, uniform, leak)
    ]
    return [
        _sum(column, factors)
        for column, factors in zip(zip(*rows, strict=True), zip(*shares, strict=True), strict=True)
    ]


def grad_drop_shares(
    task_gradients: TaskGradients, uniform: "Sequence[TensorLike | None]", leak: TensorLike = 0.0
) -> list[list[tf.Tensor | None]]:
    """Return the share of each gradient that GradDrop keeps, `leak + (1 - leak) keep`.

    Args:
        task_gradients: K lists of V tensors; `None` stands for zero.
        uniform: V tensors of random numbers in [0, 1), shaped like the gradients.
        leak: `[K]`, or one number for all, 0 to 1.

    Returns:
        K lists of V tensors of the gradients' shapes and dtypes; `None` where a task has `None`.

    Raises:
        ValueError: as `grad_drop`.
    """
    rows = dense_task_gradients(task_gradients)
    numbers = check_uniform(uniform, rows)
    leak = check_leak(leak, len(rows))
    shares: list[list[tf.Tensor | None]] = [[None] * len(rows[0]) for _ in rows]
    for v, column in enumerate(zip(*rows, strict=True)):
        present = [tf.cast(g, _wide(g)) for g in column if g is not None]
        if not present:
            continue
        total = tf.add_n(present)
        magnitude = tf.add_n([tf.abs(g) for g in present])
        threshold = (2 * tf.cast(numbers[v], total.dtype) - 1) * magnitude
        for k, g in enumerate(column):
            if g is None:
                continue
            keep = tf.logical_or(
                tf.logical_and(total > threshold, g > 0), tf.logical_and(total < threshold, g < 0)
            )
            own_leak = tf.cast(leak[k], g.dtype)
            shares[k][v] = tf.where(keep, tf.ones([], g.dtype), own_leak)
    return shares


def _sum(
    column: Sequence[tf.Tensor | None], factors: Sequence[tf.Tensor | None]
) -> tf.Tensor | None:
    """Sum of a tensor's gradients times their factors, rounded once; `None` if there is none."""
    present = [(f, g) for f, g in zip(factors, column, strict=True) if g is not None]
    if not present:
        return None
    terms = [tf.cast(f, _wide(g)) * tf.cast(g, _wide(g)) for f, g in present]
    return tf.cast(tf.add_n(terms), present[0][1].dtype)


def _wide(gradient: tf.Tensor) -> tf.DType:
    """Return the dtype sums of gradients are made in."""
    return tf.float64 if gradient.dtype == tf.float64 else tf.float32
