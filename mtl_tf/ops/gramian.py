"""The Gramian of task gradients: all a gradient-based weighting needs to know of the Jacobian."""

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._gradients import TaskGradients, dense_task_gradients

_NATIVE_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


def gramian(task_gradients: TaskGradients) -> tf.Tensor:
    """Inner products of all pairs of task gradients: `G[i, j] = <g_i, g_j>`.

    One pass over memory, without concatenating the gradients: products are added in float32 inside
    blocks of 1024 elements, blocks in float64. The result does not depend on the number of threads.

    Args:
        task_gradients: K lists of V tensors: the gradients of K losses with respect to V shared
            variables. Any shapes; float32, bfloat16 or float16 run natively (on the CPU, outside
            `jit_compile`), other dtypes use `mtl_tf.ops.reference.gramian`. `None` stands for zero.

    Returns:
        Tensor `[K, K]` float64.

    Raises:
        ValueError: if the lists differ in length or a tensor's shape differs between tasks.
    """
    rows = dense_task_gradients(task_gradients)
    library = _library.tensorflow_ops()
    columns: dict[tf.DType, list[tuple[tf.Tensor | None, ...]]] = {}
    for column in zip(*rows, strict=True):
        dtypes = {g.dtype for g in column if g is not None}
        if dtypes:
            key = dtypes.pop() if len(dtypes) == 1 else tf.float64
            columns.setdefault(key, []).append(column)
    total = tf.zeros([len(rows), len(rows)], tf.float64)
    for dtype, group in columns.items():
        tasks = list(zip(*group, strict=True))
        if library is None or dtype not in _NATIVE_DTYPES:
            total += reference.gramian(tasks)
        else:
            absent = tf.zeros([0], dtype)
            flat = [absent if g is None else g for task in tasks for g in task]
            total += library.mtl_gramian(task_gradients=flat, num_tasks=len(rows))
    return total


@tf.RegisterGradient("Mtl>Gramian")
def _gramian_gradient(op: tf.Operation, upstream: tf.Tensor) -> list[tf.Tensor]:
    """`G = J Jᵀ`, so `dJ = (dG + dGᵀ) J`."""
    num_tasks = op.get_attr("num_tasks")
    num_tensors = len(op.inputs) // num_tasks
    symmetric = upstream + tf.transpose(upstream)
    gradients = []
    for k in range(num_tasks):
        for v in range(num_tensors):
            own = op.inputs[k * num_tensors + v]
            total = tf.zeros_like(own)
            for j in range(num_tasks):
                other = op.inputs[j * num_tensors + v]
                if own.shape.num_elements() != 0 and other.shape.num_elements() != 0:
                    total += tf.cast(symmetric[k, j], own.dtype) * other
            gradients.append(total)
    return gradients
