"""Checks of `task_gradients`, the argument all gradient ops share."""

from collections.abc import Sequence

import tensorflow as tf

TaskGradients = Sequence[Sequence["tf.Tensor | tf.IndexedSlices | None"]]


def dense_task_gradients(task_gradients: TaskGradients) -> list[list[tf.Tensor | None]]:
    """K lists of V dense tensors (or `None`), checked.

    Raises:
        ValueError: if there is no task, or tasks have different numbers of tensors, or a tensor's
            static shape differs between tasks.
    """
    rows = [[None if g is None else tf.convert_to_tensor(g) for g in row] for row in task_gradients]
    if not rows:
        raise ValueError("task_gradients must hold at least one task. Received: an empty list")
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            "task_gradients must hold one list of V tensors per task, V the same for all tasks. "
            f"Received lists of lengths {lengths}; use None for a zero gradient"
        )
    for v, column in enumerate(zip(*rows, strict=True)):
        shapes = [g.shape for g in column if g is not None]
        if any(not shapes[0].is_compatible_with(shape) for shape in shapes):
            raise ValueError(
                f"Tensor {v} of task_gradients must have one shape for all tasks. "
                f"Received: {[tuple(shape) for shape in shapes]}"
            )
    return rows
