"""The weighted sum of task gradients: the direction that the weights of a weighting stand for."""

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._gradients import (
    MAX_NATIVE_TASKS,
    check_vector,
    dense_task_gradients,
    groups,
    part,
    weighted_upstream,
)
from mtl_tf.typing import TaskGradients, TensorLike


def weighted_sum(task_gradients: TaskGradients, weights: TensorLike) -> list[tf.Tensor | None]:
    """Weighted sum of task gradients, `d_v = Σ_k w_k g_kv`, in one pass over memory.

    Args:
        task_gradients: K lists of V tensors, see `mtl_tf.ops.gramian`; `None` stands for zero.
        weights: `[K]` floating point.

    Returns:
        V tensors of the gradients' shapes and dtypes, added in float32 (float64 gradients in
        float64); `None` where every task has `None`.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `weights` is not `[K]`.
    """
    rows = dense_task_gradients(task_gradients)
    num_tasks = len(rows)
    weights = check_vector(weights, "weights", num_tasks, tf.float64)
    library = _library.tensorflow_ops()
    sums: list[tf.Tensor | None] = [None] * len(rows[0])
    for group in groups(rows):
        if library is not None and group.is_native(num_tasks):
            results = library.mtl_weighted_sum(
                task_gradients=group.gradients,
                weights=weights,
                numbers=group.numbers(num_tasks),
                num_tensors=len(group.tensors),
            )
        else:
            results = reference.weighted_sum(part(rows, group), weights)
        for v, result in zip(group.tensors, results, strict=True):
            sums[v] = result
    return sums


@tf.RegisterGradient("Mtl>WeightedSum")
def _weighted_sum_gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor]:
    """`dg_kv = w_k dd_v` and `dw_k = Σ_v <dd_v, g_kv>`, the latter a row of a Gramian."""
    num_tasks, num_tensors, *slots = op.get_attr("numbers")
    weights = op.inputs[-1]
    gradients = weighted_upstream(op, weights, upstream)
    if num_tasks == MAX_NATIVE_TASKS:  # the Gramian below has one row more
        own = [tf.zeros([], tf.float64)] * num_tasks
        for slot, gradient in zip(slots, op.inputs, strict=False):
            product = tf.cast(gradient, tf.float32) * tf.cast(
                upstream[slot % num_tensors], tf.float32
            )
            own[slot // num_tensors] += tf.reduce_sum(tf.cast(product, tf.float64))
        return [*gradients, tf.stack(own)]
    library = _library.loaded_ops()
    products = library.mtl_gramian(
        task_gradients=[*op.inputs[:-1], *upstream],
        numbers=[
            num_tasks + 1,
            num_tensors,
            *slots,
            *range(num_tasks * num_tensors, (num_tasks + 1) * num_tensors),
        ],
    )
    return [*gradients, products[num_tasks, :num_tasks]]
