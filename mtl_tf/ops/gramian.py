"""The Gramian of task gradients: all a gradient-based weighting needs to know of the Jacobian."""

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._gradients import dense_task_gradients, groups, part
from mtl_tf.typing import TaskGradients


def gramian(task_gradients: TaskGradients) -> tf.Tensor:
    """Inner products of all pairs of task gradients: `G[i, j] = <g_i, g_j>`.

    One pass over memory, without concatenating the gradients: products are added in float32 in
    chains of 32, chains in float64. The result does not depend on the number of threads.

    Args:
        task_gradients: K lists of V tensors: the gradients of K losses with respect to V shared
            variables. Any shapes; float32, bfloat16 or float16 and up to 64 tasks run natively,
            anything else uses `mtl_tf.ops.reference.gramian`. `None` stands for zero and takes no
            part: its products are zero, with an infinity too.

    Returns:
        Tensor `[K, K]` float64, symmetric to the last bit.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks.
    """
    rows = dense_task_gradients(task_gradients)
    num_tasks = len(rows)
    library = _library.tensorflow_ops()
    parts = [
        library.mtl_gramian(task_gradients=group.gradients, numbers=group.numbers(num_tasks))
        if library is not None and group.is_native(num_tasks)
        else reference.gramian(part(rows, group))
        for group in groups(rows)
    ]
    return tf.add_n(parts) if parts else tf.zeros([num_tasks, num_tasks], tf.float64)


@tf.RegisterGradient("Mtl>Gramian")
def _gramian_gradient(op: tf.Operation, upstream: tf.Tensor) -> list[tf.Tensor]:
    """`G = J Jᵀ`, so `dJ = (dG + dGᵀ) J`: one weighted sum per task."""
    library = _library.loaded_ops()
    numbers = op.get_attr("numbers")
    num_tasks, num_tensors, *slots = numbers
    symmetric = upstream + tf.transpose(upstream)
    sums = [
        library.mtl_weighted_sum(
            task_gradients=op.inputs, weights=symmetric[k], numbers=numbers, num_tensors=num_tensors
        )
        for k in range(num_tasks)
    ]
    return [sums[slot // num_tensors][slot % num_tensors] for slot in slots]
