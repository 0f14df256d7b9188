"""GradDrop: a sum of task gradients that keeps, per element, the gradients of one sign."""

from collections.abc import Sequence

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._gradients import check_leak, check_uniform, dense_task_gradients, groups, part
from mtl_tf.typing import TaskGradients, TensorLike


def grad_drop(
    task_gradients: TaskGradients, uniform: "Sequence[TensorLike | None]", leak: TensorLike = 0.0
) -> list[tf.Tensor | None]:
    """Sum of task gradients after dropping, per element, those of one sign, in one pass.

    With the sign purity `P = (1 + Σ_k g_k / Σ_k |g_k|) / 2` of an element, positive gradients are
    kept where `P > U` and negative ones where `P < U`: the more the tasks agree, the likelier their
    sign is kept. `d = Σ_k (leak_k + (1 - leak_k) keep_k) g_k`.

    Source: Chen et al., Just Pick a Sign, NeurIPS 2020, Algorithm 1.

    Args:
        task_gradients: K lists of V tensors, see `mtl_tf.ops.gramian`; `None` stands for zero.
        uniform: V tensors of random numbers in [0, 1), shaped like the gradients; `None` is allowed
            where every task has `None`.
        leak: `[K]`, or one number for all: the share of a task's gradient that is always kept, 0 to
            1.

    Returns:
        V tensors of the gradients' shapes and dtypes; `None` where every task has `None`. An
        element that is zero for all tasks is zero.

    Raises:
        ValueError: if the lists differ in length, or a tensor's shape or dtype between tasks, or
            `uniform` does not hold V tensors of the gradients' shapes, or `leak` is not `[K]`.
    """
    rows = dense_task_gradients(task_gradients)
    num_tasks = len(rows)
    numbers = check_uniform(uniform, rows)
    leak = check_leak(leak, num_tasks)
    library = _library.tensorflow_ops()
    directions: list[tf.Tensor | None] = [None] * len(rows[0])
    for group in groups(rows):
        own_numbers = [numbers[v] for v in group.tensors]
        if library is not None and group.is_native(num_tasks):
            results = library.mtl_grad_drop(
                task_gradients=group.gradients,
                uniform=own_numbers,
                leak=leak,
                numbers=group.numbers(num_tasks),
            )
        else:
            results = reference.grad_drop(part(rows, group), own_numbers, leak)
        for v, result in zip(group.tensors, results, strict=True):
            directions[v] = result
    return directions


@tf.RegisterGradient("Mtl>GradDrop")
def _grad_drop_gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
    """Each gradient gets the share that was kept of it; what is kept is held constant."""
    num_tasks, num_tensors, *slots = op.get_attr("numbers")
    inputs = list(op.inputs)
    uniform, leak = inputs[len(slots) : -1], inputs[-1]
    rows: list[list[tf.Tensor | None]] = [[None] * num_tensors for _ in range(num_tasks)]
    for slot, gradient in zip(slots, inputs, strict=False):
        rows[slot // num_tensors][slot % num_tensors] = gradient
    kept = reference.grad_drop_shares(rows, uniform, leak)
    gradients = [
        kept[slot // num_tensors][slot % num_tensors] * upstream[slot % num_tensors]
        for slot in slots
    ]
    return [*gradients, *[None] * (num_tensors + 1)]
