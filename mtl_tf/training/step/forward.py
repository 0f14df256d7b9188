"""The forward pass of a training step: the losses of all tasks, and what else is minimised."""

from typing import Any, NamedTuple

import tensorflow as tf

from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.losses import task_losses, valid_pixels


class Whole(NamedTuple):
    """The batch of which a replica, or a micro-batch, sees a part.

    Attributes:
        counts: `[K]` float32, valid pixels of each task in all parts.
        num_parts: number of parts.
    """

    counts: tf.Tensor
    num_parts: int


class Forward(NamedTuple):
    """What the forward pass over one part of the batch gives.

    Attributes:
        losses: K float32 scalars; their sums over all parts are the losses of the batch.
        extra: scalars minimised beside the tasks: regularisation and gradient penalties.
        representation: the tensors that tasks share last, if the model was cut there.
        entrance: the same tensors as the heads received them.
    """

    losses: list[tf.Tensor]
    extra: list[tf.Tensor]
    representation: list[tf.Tensor]
    entrance: list[tf.Tensor]


def forward(compiled: Any, model: Any, batch: Batch, whole: Whole) -> Forward:
    """Runs the model in training mode on a part of a batch, under the caller's tape.

    Args:
        compiled: what was chosen in `MultiTaskTrainer.compile`.
        model: the multi-task model.
        batch: the part.
        whole: the batch it is a part of. The loss of the whole is the mean of the parts' losses,
            weighted by their valid pixels.

    Returns:
        `Forward`; the metrics in `compiled.logs` have seen the outputs.
    """
    if compiled.cut is None:
        outputs = compiled.view(batch.image, training=True)
        representation, entrance = [], []
        losses, penalties = _losses(compiled, outputs, batch, whole), []
    else:
        representation = tf.nest.flatten(compiled.cut.trunk(batch.image, training=True))
        # A gradient with respect to these copies ends here, also where one tensor leads to another.
        entrance = [tf.identity(z) for z in representation]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(entrance)
            outputs = compiled.cut.heads(entrance, training=True)
            losses = _losses(compiled, outputs, batch, whole)
        penalties = _penalties(compiled, tape, losses, entrance)
    compiled.logs.update_metrics(outputs, batch)
    extra = [loss / whole.num_parts for loss in [*model.losses, *penalties]]
    return Forward(losses, extra, representation, entrance)


def _losses(compiled: Any, outputs: Any, batch: Batch, whole: Whole) -> list[tf.Tensor]:
    losses = task_losses(
        compiled.tasks, compiled.loss_functions, outputs, batch, compiled.initial_weight
    )
    own = valid_pixels(compiled.tasks, batch)
    shares = tf.unstack(tf.math.divide_no_nan(own, whole.counts), len(losses))
    return [share * loss for share, loss in zip(shares, losses, strict=True)]


def _penalties(
    compiled: Any, tape: tf.GradientTape, losses: list[tf.Tensor], entrance: list[tf.Tensor]
) -> list[tf.Tensor]:
    """The gradient penalties on the task gradients of the shared representation."""
    if not compiled.gradient_penalties:
        return []
    shared = compiled.cut.trained(entrance)
    task_gradients = [tape.gradient(loss, shared) for loss in losses]
    return [penalty.penalty(task_gradients) for penalty in compiled.gradient_penalties]
