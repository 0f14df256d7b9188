"""The forward pass of a training step: the losses of all tasks, and what else is minimised."""

from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.losses import task_losses, valid_pixels
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.typing import Predictions


class GlobalBatch(NamedTuple):
    """The batch of which a replica, or a micro-batch, sees a part.

    Attributes:
        counts: `[K]` float32, valid pixels of each task in all parts.
        num_parts: number of parts.
    """

    counts: tf.Tensor
    num_parts: int


class Forward(NamedTuple):
    """Results of the forward pass over one part of the batch.

    Attributes:
        losses: K float32 scalars; their sums over all parts are the losses of the batch.
        extra: scalars minimised beside the tasks: regularisation and gradient penalties.
        representation: the tensors that tasks share last, if the model is split there.
        head_inputs: the same tensors as the heads received them.
    """

    losses: list[tf.Tensor]
    extra: list[tf.Tensor]
    representation: list[tf.Tensor]
    head_inputs: list[tf.Tensor]


def forward(plan: StepPlan, model: keras.Model, batch: Batch, whole: GlobalBatch) -> Forward:
    """Run the model in training mode on a part of a batch, under the caller's tape.

    Args:
        plan: of the step.
        model: the multi-task model.
        batch: the part.
        whole: the batch it is a part of. The loss of the whole is the mean of the parts' losses,
            weighted by their valid pixels.

    Returns:
        `Forward`; the metrics in `plan.logs` have seen the outputs.
    """
    if plan.split is None:
        outputs = plan.view(batch.image, training=True)
        representation, head_inputs = [], []
        losses, penalties = _losses(plan, outputs, batch, whole), []
    else:
        representation = tf.nest.flatten(plan.split.trunk(batch.image, training=True))
        # A gradient with respect to these copies ends here, also where one tensor leads to another.
        head_inputs = [tf.identity(z) for z in representation]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(head_inputs)
            outputs = plan.split.heads(head_inputs, training=True)
            losses = _losses(plan, outputs, batch, whole)
        penalties = _penalties(plan, tape, losses, head_inputs)
    plan.logs.update_metrics(outputs, batch)
    extra = [loss / whole.num_parts for loss in [*model.losses, *penalties]]
    return Forward(losses, extra, representation, head_inputs)


def _losses(
    plan: StepPlan, outputs: Predictions, batch: Batch, whole: GlobalBatch
) -> list[tf.Tensor]:
    losses = task_losses(plan.tasks, plan.loss_functions, outputs, batch, plan.initial_weight)
    own = valid_pixels(plan.tasks, batch)
    shares = tf.unstack(tf.math.divide_no_nan(own, whole.counts), len(losses))
    return [share * loss for share, loss in zip(shares, losses, strict=True)]


def _penalties(
    plan: StepPlan, tape: tf.GradientTape, losses: list[tf.Tensor], head_inputs: list[tf.Tensor]
) -> list[tf.Tensor]:
    """Return the gradient penalties on the task gradients of the shared representation."""
    if plan.split is None or not plan.gradient_penalties:
        return []
    shared = plan.split.trained(head_inputs)
    task_gradients = [tape.gradient(loss, shared) for loss in losses]
    return [penalty.penalty(task_gradients) for penalty in plan.gradient_penalties]
