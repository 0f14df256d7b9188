"""Task gradients, the argument all gradient ops share: checks, and the table native ops take."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mtl_tf.typing import TaskGradients

Rows = list[list[tf.Tensor | None]]

NATIVE_DTYPES = (tf.float32, tf.bfloat16, tf.float16)
MAX_NATIVE_TASKS = 64


def dense_task_gradients(task_gradients: TaskGradients) -> Rows:
    """K lists of V dense tensors (or `None`), checked.

    Raises:
        ValueError: if there is no task, tasks have different numbers of tensors, a tensor's shape
            or dtype differs between tasks, or a tensor is not floating point.
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
        present = [g for g in column if g is not None]
        if any(not present[0].shape.is_compatible_with(g.shape) for g in present):
            raise ValueError(
                f"Tensor {v} of task_gradients must have one shape for all tasks. "
                f"Received: {[tuple(g.shape) for g in present]}"
            )
        if len({g.dtype for g in present}) > 1 or any(not g.dtype.is_floating for g in present):
            raise ValueError(
                f"Tensor {v} of task_gradients must have one floating-point dtype for all tasks. "
                f"Received: {[g.dtype.name for g in present]}"
            )
    return rows


@dataclasses.dataclass(frozen=True)
class Group:
    """The tensors of one dtype, as a native op takes them.

    Attributes:
        dtype: of all gradients in the group.
        tensors: their numbers among the V tensors, n of them.
        gradients: the gradients that are not `None`.
        slots: gradient i is tensor `slots[i] % n` of task `slots[i] // n`.
    """

    dtype: tf.DType
    tensors: list[int]
    gradients: list[tf.Tensor]
    slots: list[int]

    def is_native(self, num_tasks: int) -> bool:
        """Return whether the compiled ops support this dtype and number of tasks."""
        return self.dtype in NATIVE_DTYPES and num_tasks <= MAX_NATIVE_TASKS

    def numbers(self, num_tasks: int) -> list[int]:
        """Return the numbers of all native ops on task gradients: K, V, and the slots."""
        return [num_tasks, len(self.tensors), *self.slots]


def groups(rows: Rows) -> list[Group]:
    """Return the tensors that at least one task has, by dtype."""
    by_dtype: dict[tf.DType, list[int]] = {}
    for v, column in enumerate(zip(*rows, strict=True)):
        dtype = next((g.dtype for g in column if g is not None), None)
        if dtype is not None:
            by_dtype.setdefault(dtype, []).append(v)
    all_groups = []
    for dtype, tensors in by_dtype.items():
        gradients, slots = [], []
        for k, row in enumerate(rows):
            for position, v in enumerate(tensors):
                gradient = row[v]
                if gradient is not None:
                    gradients.append(gradient)
                    slots.append(k * len(tensors) + position)
        all_groups.append(Group(dtype, tensors, gradients, slots))
    return all_groups


def part(rows: Rows, group: Group) -> Rows:
    """Return the rows with the group's tensors alone."""
    return [[row[v] for v in group.tensors] for row in rows]


def weighted_upstream(
    op: tf.Operation, weights: tf.Tensor, upstream: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Return the gradient of `d_v = Σ_k w_k g_kv` with respect to every `g_kv` of a native op."""
    _, num_tensors, *slots = op.get_attr("numbers")
    return [
        tf.cast(weights[slot // num_tensors], upstream[slot % num_tensors].dtype)
        * upstream[slot % num_tensors]
        for slot in slots
    ]


def as_float(value: object, dtype: tf.DType) -> tf.Tensor:
    """`value` as a tensor of `dtype`; Python numbers do not lose digits on the way."""
    if not tf.is_tensor(value):
        value = np.asarray(value, np.float64)
    return tf.cast(value, dtype)


def check_range(value: object, name: str, least: float, most: float) -> None:
    """`ValueError` if a number that is known now is NaN or outside the range."""
    known = tf.get_static_value(value) if tf.is_tensor(value) else np.asarray(value, np.float64)
    if known is not None and not np.all((known >= least) & (known <= most)):
        raise ValueError(f"{name} must be from {least} to {most}. Received: {known}")


def check_vector(value: object, name: str, length: int, dtype: tf.DType) -> tf.Tensor:
    """`value` as a tensor `[length]` of `dtype`; `ValueError` if its shape is another."""
    vector = as_float(value, dtype)
    if not vector.shape.is_compatible_with([length]):
        raise ValueError(
            f"{name} must have shape [{length}], one number per task. Received: {vector.shape}"
        )
    return vector


def check_leak(leak: object, num_tasks: int) -> tf.Tensor:
    """`leak` as float32 `[K]`; one number stands for all tasks."""
    tensor = as_float(leak, tf.float32)
    if tensor.shape.rank == 0:
        tensor = tf.fill([num_tasks], tensor)
    check_range(leak, "leak", 0.0, 1.0)
    return check_vector(tensor, "leak", num_tasks, tf.float32)


def check_uniform(uniform: Sequence[object], rows: Rows) -> list[tf.Tensor | None]:
    """`uniform` as V float32 tensors of the gradients' shapes (`None` where no task has one)."""
    if len(uniform) != len(rows[0]):
        raise ValueError(
            f"uniform must hold {len(rows[0])} tensors, one per tensor of a task. "
            f"Received: {len(uniform)}"
        )
    numbers: list[tf.Tensor | None] = []
    for v, column in enumerate(zip(*rows, strict=True)):
        shape = next((g.shape for g in column if g is not None), None)
        if shape is None:
            numbers.append(None)
            continue
        number = None if uniform[v] is None else as_float(uniform[v], tf.float32)
        if number is None or not shape.is_compatible_with(number.shape):
            raise ValueError(
                f"uniform[{v}] must have the gradients' shape {tuple(shape)}. "
                f"Received: {None if number is None else tuple(number.shape)}"
            )
        numbers.append(number)
    return numbers


def check_order(order: object, num_tasks: int | None) -> tf.Tensor:
    """`order` as an int32 tensor `[K, K-1]`; `ValueError` if its shape is another."""
    tensor = tf.cast(tf.convert_to_tensor(order), tf.int32)
    expected = [num_tasks, None if num_tasks is None else num_tasks - 1]
    if num_tasks == 1:
        tensor = tf.reshape(tensor, [1, 0])
    if not tensor.shape.is_compatible_with(expected):
        raise ValueError(
            f"order must have shape {expected}: row i lists the other tasks. "
            f"Received: {tensor.shape}"
        )
    return tensor


def check_order_values(order: tf.Tensor) -> tf.Tensor:
    """Raise `InvalidArgumentError` when it runs, unless row i of `order` lists all others once."""
    num_tasks = tf.shape(order)[0]
    own = tf.range(num_tasks)[:, None]
    complete = tf.sort(tf.concat([own, order], axis=1), axis=1)
    tf.debugging.assert_equal(
        complete,
        tf.broadcast_to(tf.range(num_tasks)[None], tf.shape(complete)),
        "order: each row must list each of the other tasks once",
    )
    return order
