"""Losses of the tasks from a model's outputs, and how many pixels of each task are valid."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from mtl_tf.losses import DenseLoss
from mtl_tf.metrics import resized
from mtl_tf.tasks import Task
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.typing import Predictions


def outputs_of(task: str, outputs: Iterable[str], tasks: Iterable[str]) -> list[str]:
    """Names of the outputs that predict `task`: itself and `task/...` (deep supervision)."""
    return [name for name in outputs if task_of(name, tasks) == task]


def task_of(output: str, tasks: Iterable[str]) -> str | None:
    """Return the task of an output: the longest name that it equals or that precedes a slash."""
    owners = [task for task in tasks if output == task or output.startswith(f"{task}/")]
    return max(owners, key=len, default=None)


def symbolic_outputs(model: keras.Model) -> Mapping[str, keras.KerasTensor] | None:
    """Return the outputs of a functional model, `None` of a subclassed one."""
    try:
        return model.output
    except (AttributeError, ValueError):
        return None


def check_outputs(task: Task, outputs: object, tasks: Iterable[str]) -> None:
    """Raise `ValueError` unless a model's outputs have one for a task, of its shape."""
    if not isinstance(outputs, Mapping):
        raise ValueError(
            f"The model must have outputs {{task: tensor}}. Received: {type(outputs).__name__}"
        )
    names = outputs_of(task.name, outputs, tasks)
    if not names:
        raise ValueError(
            f"The model has no output for task {task.name!r}. Its outputs: {sorted(outputs)}"
        )
    for name in names:
        if len(outputs[name].shape) not in (2, 4):
            raise ValueError(
                f"Output {name!r} must be [B, H, W, {task.channels}], or [B, {task.channels}] of "
                f"whole images. Received: {tuple(outputs[name].shape)}"
            )
        if outputs[name].shape[-1] != task.channels:
            raise ValueError(
                f"Output {name!r} has {outputs[name].shape[-1]} channels, but task {task.name!r} "
                f"has {task.channels}: give the same tasks to the architecture and to the trainer"
            )


def task_losses(
    tasks: Sequence[Task],
    loss_functions: Mapping[str, keras.losses.Loss],
    outputs: Predictions,
    batch: Batch,
    initial_weight: float = 1.0,
) -> list[tf.Tensor]:
    """Losses of all tasks on a batch.

    Args:
        tasks: the K tasks.
        loss_functions: `{task: loss}` of `(target, prediction, validity mask)`.
        outputs: `{task: [B, H, W, C]}` and `{task/...: [B, h, w, C]}`; a task's loss is the sum
            over its outputs, lower resolutions resized to the target's.
        batch: targets and validity masks; every pixel is valid without masks.
        initial_weight: factor of the losses of the outputs `task/...`.

    Returns:
        K float32 scalars, 0 for a task without a valid pixel. They are not stacked, so that each
        has a gradient of its own.
    """
    losses = []
    names = [task.name for task in tasks]
    for task in tasks:
        check_outputs(task, outputs, names)
        target = batch.targets[task.name]
        mask = None if batch.masks is None else batch.masks[task.name]
        terms = []
        for name in outputs_of(task.name, outputs, names):
            term = _loss(loss_functions[task.name], target, outputs[name], mask)
            terms.append(term if name == task.name else initial_weight * term)
        loss = tf.cast(tf.add_n(terms), tf.float32)
        losses.append(tf.where(batch.faults[task.name], float("nan"), loss))
    return losses


def _loss(
    loss: keras.losses.Loss, target: tf.Tensor, prediction: tf.Tensor, mask: tf.Tensor | None
) -> tf.Tensor:
    """Return a loss at the resolution of the target, whatever that of the prediction is."""
    sizes = prediction.shape[1:-1], target.shape[1:-1]
    if isinstance(loss, DenseLoss) and sizes[0].is_fully_defined() and sizes[0] != sizes[1]:
        return loss.of_upsampled(target, prediction, mask)
    return loss(target, resized(prediction, target), mask)


def valid_pixels(tasks: Sequence[Task], batch: Batch) -> tf.Tensor:
    """Return the sum of each task's mask `[K]` float32; the number of pixels without masks."""
    counts = []
    for task in tasks:
        if batch.masks is None:
            shape = tf.shape(batch.targets[task.name])
            counts.append(tf.cast(tf.reduce_prod(shape[:-1]), tf.float32))
        else:
            counts.append(tf.reduce_sum(batch.masks[task.name]))
    return tf.stack(counts)
