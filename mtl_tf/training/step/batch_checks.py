"""The checked batch of a step: a user's batch becomes one the step can rely on, or an error.

Shapes are checked when the step is traced, values in every step: class ids outside the classes,
depth in millimetres, normals that are colours. (A step compiled by XLA cannot raise; the loss of
the task is NaN there.)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_tf.graph_errors import require
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task
from mtl_tf.typing import TensorLike


class Batch(NamedTuple):
    """Input of a training step.

    Attributes:
        image: `[B, H, W, 3]`.
        targets: `{task: [B, H, W, C]}`, of whole images `[B, C]`.
        masks: `{task: [B, H, W]}` float32 validity masks, of whole images `[B]`, or `None`.
        faults: `{task: bool scalar}`: whether a valid pixel has a value that cannot be.
    """

    image: tf.Tensor
    targets: Mapping[str, tf.Tensor]
    masks: Mapping[str, tf.Tensor] | None
    faults: Mapping[str, tf.Tensor]


def checked_batch(
    image: tf.Tensor,
    targets: "Mapping[str, TensorLike]",
    masks: "Mapping[str, TensorLike] | None",
    tasks: Sequence[Task],
    outputs: Mapping[str, keras.KerasTensor] | None,
    ignored: Mapping[str, int],
) -> Batch:
    """Return a batch of targets `[B, H, W, C]` or `[B, C]` and float32 masks `[B, H, W]` or `[B]`.

    Args:
        image: `[B, H, W, 3]`.
        targets: `{task: [B, H, W, C]}`; one channel may be left out.
        masks: `{task: [B, H, W]}` of bool or 0 to 1, or `None`.
        tasks: the tasks.
        outputs: symbolic outputs of the model by name, `None` if it is not functional.
        ignored: `{task: label}`; pixels with that label are invalid.

    Raises:
        ValueError: naming task, expected and received shape, and the remedy.
    """
    checked: dict[str, tf.Tensor] = {}
    valid: dict[str, tf.Tensor | None] = {}
    faults: dict[str, tf.Tensor] = {}
    for task in tasks:
        target = entry(targets, task.name, "targets")
        mask = None if masks is None else entry(masks, task.name, "weights")
        target = _shaped_target(target, task, _rank(task.name, outputs))
        if mask is not None:
            mask = _shaped_mask(mask, target, task)
        mask = _without_ignored(mask, target, ignored.get(task.name))
        faults[task.name], tests = _tests(task, target, mask)
        with tf.control_dependencies(tests):
            checked[task.name] = tf.identity(target)
        valid[task.name] = mask
    if all(mask is None for mask in valid.values()):
        return Batch(image, checked, None, faults)
    full = {name: tf.ones(tf.shape(target)[:-1]) for name, target in checked.items()}
    return Batch(image, checked, {n: full[n] if m is None else m for n, m in valid.items()}, faults)


def entry(batch: object, task: str, kind: str) -> TensorLike:
    """Return the entry of a task in `targets` or `weights`; `ValueError` if there is none."""
    if not isinstance(batch, Mapping) or task not in batch:
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(
            f"A batch must be (image, targets, weights) with one entry per task in targets and "
            f"weights. {kind} has none for {task!r}. Received: {received}"
        )
    return batch[task]


def _rank(task: str, outputs: Mapping[str, keras.KerasTensor] | None) -> int | None:
    """Rank of a task's targets, as its output has it."""
    output = None if outputs is None else outputs.get(task)
    return None if output is None else len(output.shape)


def _shaped_target(target: TensorLike, task: Task, rank: int | None) -> tf.Tensor:
    target = tf.convert_to_tensor(target)
    if task.kind is not TargetKind.CLASSES and not target.dtype.is_floating:
        target = tf.cast(target, tf.float32)
    elif target.dtype.is_unsigned or target.dtype.is_bool:
        target = tf.cast(target, tf.int32)
    has = target.shape.rank
    if rank is None and has is not None:
        rank = 4 if has > 2 else 2
    channels = task.kind.target_channels(task.channels)
    if has is not None and has + 1 == rank and channels == 1:
        target = target[..., None]
    last = target.shape[-1] if target.shape.rank else None
    if target.shape.rank != rank or last not in (None, channels):
        names = "[B, " if rank == 2 else "[B, H, W, "
        hint = ""
        if task.kind is TargetKind.CLASSES and last == task.channels:
            hint = ": give class ids, tf.argmax(one_hot, -1)"
        if has is None:
            hint = ": say it with tf.ensure_shape where the data set is made"
        raise ValueError(
            f"The target of task {task.name!r} must be {names}{channels}]. Received: "
            f"{target.shape}{hint}"
        )
    return target


def _shaped_mask(mask: TensorLike, target: tf.Tensor, task: Task) -> tf.Tensor:
    mask = tf.cast(tf.convert_to_tensor(mask), tf.float32)
    if not mask.shape.is_compatible_with(target.shape[:-1]):
        names = "[B, H, W]" if target.shape.rank == 4 else "[B]"
        raise ValueError(
            f"sample_weight must be the validity mask {names} of task {task.name!r}, one number "
            f"per pixel. Received: sample_weight.shape={mask.shape}, target.shape={target.shape}"
        )
    return tf.ensure_shape(mask, target.shape[:-1])


def _without_ignored(
    mask: tf.Tensor | None, target: tf.Tensor, ignored: int | None
) -> tf.Tensor | None:
    """Return the mask without pixels of the label that means no label."""
    if ignored is None:
        return mask
    is_label = tf.cast(target[..., 0] != tf.cast(ignored, target.dtype), tf.float32)
    return is_label if mask is None else mask * is_label


def _tests(
    task: Task, target: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, list[tf.Operation]]:
    """Return whether a value is invalid, and the operations that fail in that case."""
    value = task.kind.measured(target, task.channels)
    limits = task.kind.limits(task.channels)
    low, high = (tf.constant(_within(x, value.dtype), value.dtype) for x in limits)
    is_outside = (value < low) | (value > high)
    if value.dtype.is_floating and task.kind is TargetKind.CLASSES:
        is_outside |= value != tf.floor(value)  # NaN too
    elif value.dtype.is_floating:  # infinity is left out of the step, and counted
        is_outside &= tf.math.is_finite(value)
    if mask is not None:
        is_outside &= mask[..., None] > 0
    is_wrong = tf.reduce_any(is_outside)
    outside = tf.where(is_outside, value, tf.zeros_like(value))
    most, least = tf.reduce_max(outside), tf.reduce_min(outside)
    worst = tf.where(tf.abs(least) <= tf.abs(most), most, least)
    message = f"Task {task.name!r} {task.kind.message('{}', task.channels)}"
    if task.kind is TargetKind.CLASSES:
        message += ", or compile with ignore=LABEL"
    tests = [require(~is_wrong, ValueError, message, worst)]
    if mask is not None:
        message = (
            f"The validity mask of task {task.name!r} has values between {{}} and {{}}: they must "
            "lie between 0 and 1. Divide masks of 0 and 255 by 255"
        )
        is_share = tf.reduce_all((mask >= 0) & (mask <= 1))  # NaN is not
        ends = tf.reduce_min(mask), tf.reduce_max(mask)
        tests.append(require(is_share, ValueError, message, *ends))
    return is_wrong, [test for test in tests if test is not None]


def _within(limit: float, dtype: tf.DType) -> float:
    """Return a limit as near as a dtype can have it."""
    return limit if dtype.is_floating else max(dtype.min, min(limit, dtype.max))
