"""PCGrad end to end: from task gradients to their projected sum without leaving the device."""

import tensorflow as tf

from mtl_tf.ops import _library
from mtl_tf.ops._gradients import check_order, dense_task_gradients, groups, weighted_upstream
from mtl_tf.ops.balance import balance
from mtl_tf.ops.gramian import gramian
from mtl_tf.ops.weighted_sum import weighted_sum
from mtl_tf.typing import TaskGradients, TensorLike


def gradient_projection(
    task_gradients: TaskGradients, order: TensorLike
) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """Sum of task gradients, each projected on the normal plane of those it conflicts with.

    For every task i, `v = g_i` meets the other tasks j in the order given; where `<v, g_j> < 0`,
    `v` loses its component along `g_j`. The direction is the sum of the K results. Because each `v`
    stays a combination of the task gradients, two passes over memory serve all K (K - 1) steps.

    Source: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1.

    Args:
        task_gradients: K lists of V tensors, see `mtl_tf.ops.gramian`; `None` stands for zero.
        order: `[K, K-1]` int32; row i lists the other tasks, each once, in the order in which task
            i meets them.

    Returns:
        `(directions, weights)`: V tensors of the gradients' shapes and dtypes (`None` where every
        task has `None`), and the weights `[K]` float64 with `direction = Σ_k weights_k g_k`. A
        gradient taken through the directions treats the weights as constants.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `order` is not `[K, K-1]`.
        tf.errors.InvalidArgumentError: if a row of `order` does not list each other task once.
    """
    rows = dense_task_gradients(task_gradients)
    num_tasks = len(rows)
    order = check_order(order, num_tasks)
    library = _library.tensorflow_ops()
    by_dtype = groups(rows)
    if library is not None and len(by_dtype) == 1 and by_dtype[0].is_native(num_tasks):
        (group,) = by_dtype
        projected = library.mtl_gradient_projection(
            task_gradients=group.gradients,
            order=order,
            numbers=group.numbers(num_tasks),
            num_tensors=len(group.tensors),
        )
        directions: list[tf.Tensor | None] = [None] * len(rows[0])
        for v, result in zip(group.tensors, projected.directions, strict=True):
            directions[v] = result
        return directions, projected.weights
    # Several dtypes, or none that is native: the same three steps, each over all of them.
    weights = tf.stop_gradient(balance(gramian(rows), "pcgrad", order=order))
    return weighted_sum(rows, weights), weights


@tf.RegisterGradient("Mtl>GradientProjection")
def _gradient_projection_gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
    """`dg_kv = w_k dd_v` with the weights held constant."""
    return [*weighted_upstream(op, op.outputs[-1], upstream), None]
