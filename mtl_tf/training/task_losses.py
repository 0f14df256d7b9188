"""Losses of the tasks from a model's outputs, and how many pixels of each task are valid."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.losses import DenseLoss
from mtl_tf.metrics import resized
from mtl_tf.tasks import Task
from mtl_tf.training import replicas


class _PixelLoss(keras.losses.Loss):
    """A Keras loss of `(target, prediction)` as the mean over valid pixels."""

    def __init__(self, function: Any) -> None:
        super().__init__(name="pixel_loss", reduction="mean_with_sample_weight")
        self.function = function

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean over this replica's valid pixels; targets of others have no influence."""
        if sample_weight is not None:
            y_true = tf.where(sample_weight[..., None] > 0, y_true, tf.zeros_like(y_true))
        # Keras divides by the number of replicas.
        return super().__call__(y_true, y_pred, sample_weight) * replicas.num_replicas()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pixel, `[B, H, W]`."""
        return self.function(y_true, y_pred)


def as_loss(loss: Any) -> Any:
    """A loss object whose mean is over valid pixels, from one or from a name or function of Keras.

    A Keras loss with its default reduction would divide by the number of all pixels.
    """
    loss = keras.losses.get(loss)
    if not isinstance(loss, keras.losses.Loss):
        return _PixelLoss(loss)
    is_default = loss.reduction == "sum_over_batch_size"
    return _PixelLoss(loss.call) if is_default and not isinstance(loss, DenseLoss) else loss


def outputs_of(task: str, outputs: Mapping[str, Any]) -> list[str]:
    """Names of the outputs that predict `task`: itself and `task/...` (deep supervision)."""
    return [name for name in outputs if name.split("/")[0] == task]


def check_outputs(task: Task, outputs: Any) -> None:
    """Raises `ValueError` unless a model's outputs have one for a task, with its channels."""
    if not isinstance(outputs, Mapping):
        raise ValueError(
            f"The model must have outputs {{task: tensor}}. Received: {type(outputs).__name__}"
        )
    names = outputs_of(task.name, outputs)
    if not names:
        raise ValueError(
            f"The model has no output for task {task.name!r}. Its outputs: {sorted(outputs)}"
        )
    for name in names:
        if outputs[name].shape[-1] != task.channels:
            raise ValueError(
                f"Output {name!r} has {outputs[name].shape[-1]} channels, but task {task.name!r} "
                f"has {task.channels}: give the same tasks to the architecture and to the trainer"
            )


def task_losses(
    tasks: Sequence[Task],
    loss_functions: Mapping[str, Any],
    outputs: Mapping[str, tf.Tensor],
    targets: Mapping[str, tf.Tensor],
    masks: Mapping[str, tf.Tensor] | None,
    initial_weight: float = 1.0,
) -> list[tf.Tensor]:
    """Losses of all tasks on a batch.

    Args:
        tasks: the K tasks.
        loss_functions: `{task: loss}` of `(target, prediction, validity mask)`.
        outputs: `{task: [B, H, W, C]}` and `{task/...: [B, h, w, C]}`; a task's loss is the sum
            over its outputs, lower resolutions resized to the target's.
        targets: `{task: [B, H, W, C]}`.
        masks: `{task: [B, H, W]}` validity masks; every pixel is valid without them.
        initial_weight: factor of the losses of the outputs `task/...`.

    Returns:
        K float32 scalars, 0 for a task without a valid pixel. They are not stacked, so that each
        has a gradient of its own.

    Raises:
        ValueError: if a task has no target or, where there are masks, no mask.
    """
    losses = []
    for task in tasks:
        target = _entry(targets, task.name, "targets")
        mask = None if masks is None else _entry(masks, task.name, "weights")
        terms = []
        for name in outputs_of(task.name, outputs):
            term = _loss(loss_functions[task.name], target, outputs[name], mask)
            terms.append(term if name == task.name else initial_weight * term)
        losses.append(tf.cast(tf.add_n(terms), tf.float32))
    return losses


def _loss(loss: Any, target: Any, prediction: tf.Tensor, mask: Any) -> tf.Tensor:
    """A loss at the resolution of the target, whatever that of the prediction is."""
    sizes = prediction.shape[1:3], target.shape[1:3]
    if isinstance(loss, DenseLoss) and sizes[0].is_fully_defined() and sizes[0] != sizes[1]:
        return loss.of_enlarged(target, prediction, mask)
    return loss(target, resized(prediction, target), mask)


def valid_pixels(
    tasks: Sequence[Task],
    targets: Mapping[str, tf.Tensor],
    masks: Mapping[str, tf.Tensor] | None,
) -> tf.Tensor:
    """The sum of each task's validity mask, `[K]` float32; the number of pixels without masks."""
    counts = []
    for task in tasks:
        target = _entry(targets, task.name, "targets")
        if masks is None:
            counts.append(tf.cast(tf.reduce_prod(tf.shape(target)[:-1]), tf.float32))
        else:
            mask = _entry(masks, task.name, "weights")
            counts.append(tf.reduce_sum(tf.cast(mask, tf.float32)))
    return tf.stack(counts)


def _entry(batch: Any, task: str, kind: str) -> Any:
    if not isinstance(batch, Mapping) or task not in batch:
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(
            f"A batch must be (image, targets, weights) with one entry per task in targets and "
            f"weights. {kind} has none for {task!r}. Received: {received}"
        )
    return batch[task]
