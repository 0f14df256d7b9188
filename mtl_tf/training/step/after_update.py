"""The losses of a batch without a gradient: in validation, and after an update for FAMO."""

import keras
import tensorflow as tf

from mtl_tf.training.step import replicas
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.losses import task_losses, valid_pixels
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.training.step.update import Update
from mtl_tf.typing import Predictions


def losses_of_outputs(
    plan: StepPlan, outputs: Predictions, batch: Batch
) -> tuple[tf.Tensor, tf.Tensor]:
    """Losses `[K]` of the batch of all replicas, and which tasks have labels in it.

    Args:
        plan: of the step.
        outputs: of the model for the replica's part of the batch.
        batch: that part.
    """
    losses = task_losses(plan.tasks, plan.loss_functions, outputs, batch, plan.initial_weight)
    counts = valid_pixels(plan.tasks, batch)
    sums, counts = replicas.total([counts * tf.stack(losses), counts])
    return tf.math.divide_no_nan(sums, counts), counts > 0


def report_losses_after_update(
    plan: StepPlan, model: keras.Model, batch: Batch, update: Update
) -> None:
    """Show the method the losses of the same batch after the update.

    They are computed in training mode, to be comparable with the losses before; the statistics of
    the model are restored.
    """
    variables = model.non_trainable_variables
    kept = [tf.identity(v) for v in variables]
    after, _ = losses_of_outputs(plan, model(batch.image, training=True), batch)
    for variable, value in zip(variables, kept, strict=True):
        variable.assign(value)
    factors = tf.constant(plan.loss_factors)
    plan.balancing.after_update(update.losses * factors, after * factors, update.is_used)
