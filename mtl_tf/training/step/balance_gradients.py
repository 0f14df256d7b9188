"""Balancing task gradients: from their rows to directions, by the compiled method."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.balancing import Scalarizer, Weighting
from mtl_tf.training.step import replicas
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.training.step.task_gradients import Row, TaskGradients


class Balanced(NamedTuple):
    """The outcome of balancing: directions of the shared tensors and what else an update needs."""

    directions: Row
    method_gradients: Row
    loss: tf.Tensor
    weights: tf.Tensor | None
    own_weights: tf.Tensor
    status: tf.Tensor
    is_used: tf.Tensor


def balance_gradients(
    plan: StepPlan,
    optimizer: keras.optimizers.Optimizer,
    task_gradients: TaskGradients,
    rows: list[Row],
    gramian: tf.Tensor | None,
) -> Balanced:
    """Combine the rows of task gradients by the method; faulty tasks are left out."""
    method = plan.balancing
    is_used = task_gradients.is_present & tf.math.is_finite(task_gradients.losses)
    if gramian is not None:
        is_used &= tf.math.is_finite(tf.linalg.diag_part(gramian))
    if not has_loss_scale(optimizer):
        rows = _without_faulty(rows, task_gradients.is_present, is_used)
    factors = tf.constant(plan.loss_factors)
    loss = tf.reduce_sum(tf.where(is_used, factors * task_gradients.losses, 0.0))
    weights, own = None, Row()
    status = tf.constant(int(ops.BalanceStatus.CONVERGED))
    own_weights = tf.cast(is_used, tf.float32)
    if isinstance(method, Scalarizer):
        loss, derivative, own = scalarized(plan, task_gradients.losses, is_used)
        # The rows are gradients of losses times their factors.
        weights = tf.math.divide_no_nan(derivative, factors)
        own = [optimizer.scale_loss(g) / replicas.num_replicas() for g in own]
    elif isinstance(method, Weighting):
        report = method.report(gramian, task_gradients.losses * factors, is_used, training=True)
        weights, status = report.weights, report.status
    else:
        result = method.compute_direction(rows, training=True)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise ValueError(
                f"compute_direction of {type(method).__name__} must return (directions, status), "
                "status such as mtl_tf.ops.BalanceStatus.CONVERGED. "
                f"Received: {type(result).__name__}"
            )
        directions, status = result
    if weights is not None:
        directions = ops.weighted_sum(rows, weights)
        weights = tf.cast(weights, tf.float32)
        if plan.weight_own_variables or isinstance(method, Scalarizer):
            own_weights = weights
        weights = weights * factors
    return Balanced(directions, own, loss, weights, own_weights, status, is_used)


def scalarized(
    plan: StepPlan, losses: tf.Tensor, is_used: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Row]:
    """Return a scalarizer's scalar, its derivative `[K]` and the gradients of its variables."""
    method = plan.balancing
    losses = tf.stop_gradient(tf.where(is_used, losses, tf.zeros_like(losses)))
    with tf.GradientTape() as tape:
        tape.watch(losses)
        scalar = method(losses * tf.constant(plan.loss_factors), is_used, training=True)
    own_variables = [v.value for v in method.trainable_variables]
    weights, *own = tape.gradient(scalar, [losses, *own_variables])
    return tf.stop_gradient(scalar), tf.stop_gradient(weights), own


def gramian_of(plan: StepPlan, rows: list[Row], scale: tf.Tensor) -> tf.Tensor | None:
    """Return the Gramian of unscaled gradients, where the method or the diagnostics look at it."""
    if not (isinstance(plan.balancing, Weighting) or plan.diagnostics):
        return None
    return ops.gramian(rows) / tf.cast(scale, tf.float64) ** 2


def has_loss_scale(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether the optimizer must see non-finite gradients, to lower its loss scale."""
    return isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)


def zero_if(condition: tf.Tensor, row: Row, optimizer: keras.optimizers.Optimizer) -> Row:
    """`row`, or zeros; the usual case costs nothing."""
    if has_loss_scale(optimizer):
        return row
    return _mapped_if(condition, row, lambda _, gradient: tf.zeros_like(gradient))


def _without_faulty(rows: list[Row], is_present: tf.Tensor, is_used: tf.Tensor) -> list[Row]:
    """Return the rows with zeros for tasks that are not used; the usual case costs nothing."""
    n = len(rows[0])
    flat = [gradient for row in rows for gradient in row]
    flat = _mapped_if(
        tf.reduce_any(is_present & ~is_used),
        flat,
        lambda i, gradient: tf.where(is_used[i // n], gradient, tf.zeros_like(gradient)),
    )
    return [flat[k * n : (k + 1) * n] for k in range(len(rows))]


def _mapped_if(
    condition: tf.Tensor, row: Row, function: Callable[[int, tf.Tensor], tf.Tensor]
) -> Row:
    """`row`, or where `condition` holds `function(i, row[i])`; `None` stays `None`."""
    present = [(i, tf.convert_to_tensor(g)) for i, g in enumerate(row) if g is not None]
    if not present:
        return row
    chosen = tf.cond(
        condition,
        lambda: [function(i, gradient) for i, gradient in present],
        lambda: [tf.identity(gradient) for _, gradient in present],
    )
    result: Row = [None] * len(row)
    for (i, _), gradient in zip(present, chosen, strict=True):
        result[i] = gradient
    return result
