"""The three ways from a batch to the gradients of an update, one for each cost of balancing."""

from collections.abc import Iterable

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.training.step import replicas
from mtl_tf.training.step.balance_gradients import (
    Balanced,
    balance_gradients,
    gramian_of,
    scalarized,
    zero_if,
)
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.forward import forward
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.training.step.task_gradients import (
    Row,
    TaskGradients,
    global_batch,
    global_losses,
    of_features,
    of_variables,
)
from mtl_tf.training.step.update import Update


def summed_loss(
    plan: StepPlan, model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: Batch
) -> Update:
    """Return a scalarizer's update: one backward pass of the weighted sum of the losses."""
    whole = global_batch(plan, batch)
    with tf.GradientTape() as tape:
        passed = forward(plan, model, batch, whole)
        losses, extra_loss = global_losses(passed)
        is_present = whole.counts > 0
        is_used = is_present & tf.math.is_finite(losses)
        scalar, weights, own = scalarized(plan, losses, is_used)
        terms = [
            weight * loss for weight, loss in zip(tf.unstack(weights), passed.losses, strict=True)
        ]
        scaled = optimizer.scale_loss(tf.add_n([*terms, *passed.extra]))
    gradients = tape.gradient(scaled, [v.value for v in plan.network_variables(model)])
    own = [optimizer.scale_loss(g) / replicas.num_replicas() for g in own]
    is_faulty = tf.reduce_any(is_present & ~is_used)
    return Update(
        gradients=zero_if(is_faulty, [*gradients, *own], optimizer),
        loss=_logged(scalar + extra_loss, is_present, is_used),
        losses=losses,
        is_present=is_present,
        is_used=is_used,
        weights=weights,
        status=tf.constant(int(ops.BalanceStatus.CONVERGED)),
        gramian=None,
    )


def parameter_gradients(
    plan: StepPlan, model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: Batch
) -> Update:
    """Balance the task gradients of the shared variables: K backward passes."""
    scale = optimizer.scale_loss(tf.ones([]))
    task_gradients = of_variables(plan, model, batch, scale)
    columns, own_columns = _shared_columns(task_gradients.rows)
    rows = [replicas.total([row[v] for v in columns]) for row in task_gradients.rows]
    gramian = gramian_of(plan, rows, scale)
    balanced = balance_gradients(plan, optimizer, task_gradients, rows, gramian)
    gradients: Row = [None] * len(task_gradients.extra)
    for v, direction in zip(columns, balanced.directions, strict=True):
        gradients[v] = _per_replica(direction)
    for v, k in own_columns.items():
        gradients[v] = _own(balanced, task_gradients.rows[k][v], k)
    gradients = [_sum(pair) for pair in zip(gradients, task_gradients.extra, strict=True)]
    return _update(task_gradients, [*gradients, *balanced.method_gradients], balanced, gramian)


def feature_gradients(
    plan: StepPlan, model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: Batch
) -> Update:
    """Balance the task gradients of the last shared representation: one backward of the trunk.

    Every replica has the representation of its own images, so only the Gramian is summed over them;
    of variables that the heads of several tasks share it has a part of the gradient, as always.
    """
    scale = optimizer.scale_loss(tf.ones([]))
    task_gradients, heads, through_trunk = of_features(plan, model, batch, scale)
    columns, own_columns = _shared_columns(heads)
    n = len(task_gradients.rows[0])
    common = [replicas.total([head[v] for v in columns]) for head in heads]
    (gramian,) = replicas.total([gramian_of(plan, task_gradients.rows, scale)])
    if columns and gramian is not None:
        gramian += gramian_of(plan, common, scale)
    rows = [[*row, *of_heads] for row, of_heads in zip(task_gradients.rows, common, strict=True)]
    balanced = balance_gradients(plan, optimizer, task_gradients, rows, gramian)
    head_gradients: dict[int, tf.Tensor] = {
        v: _per_replica(direction)
        for v, direction in zip(columns, balanced.directions[n:], strict=True)
    }
    for v, k in own_columns.items():
        head_gradients[v] = _own(balanced, heads[k][v], k)
    split = plan.split
    assert split is not None
    variables = plan.network_variables(model)
    parts: dict[int, Row] = {id(v): [] for v in variables}
    for v, variable in enumerate(split.heads.trainable_variables):
        parts[id(variable)].append(head_gradients.get(v))
    trunk_gradients = through_trunk(balanced.directions[:n])
    for variable, gradient in zip(split.trunk.trainable_variables, trunk_gradients, strict=True):
        parts[id(variable)].append(gradient)
    gradients = [
        _sum([*parts[id(variable)], extra])
        for variable, extra in zip(variables, task_gradients.extra, strict=True)
    ]
    return _update(task_gradients, [*gradients, *balanced.method_gradients], balanced, gramian)


# === Small parts ===


def _per_replica(gradient: tf.Tensor) -> tf.Tensor:
    """Return the share of a replica in a gradient, which the optimizer adds up over all."""
    return gradient / replicas.num_replicas()


def _own(balanced: Balanced, gradient: tf.Tensor, task: int) -> tf.Tensor:
    """Return the gradient of a variable of a single task; 0 where the task is left out."""
    weight = tf.cast(balanced.own_weights[task], gradient.dtype)
    return tf.math.multiply_no_nan(gradient, weight)


def _update(
    task_gradients: TaskGradients, gradients: Row, balanced: Balanced, gramian: tf.Tensor | None
) -> Update:
    return Update(
        gradients=gradients,
        loss=_logged(
            balanced.loss + task_gradients.extra_loss, task_gradients.is_present, balanced.is_used
        ),
        losses=task_gradients.losses,
        is_present=task_gradients.is_present,
        is_used=balanced.is_used,
        weights=balanced.weights,
        status=balanced.status,
        gramian=gramian,
    )


def _logged(loss: tf.Tensor, is_present: tf.Tensor, is_used: tf.Tensor) -> tf.Tensor:
    """Return the loss, or NaN if there are labels but no task has a finite loss."""
    has_failed = tf.reduce_any(is_present) & ~tf.reduce_any(is_used)
    return tf.where(has_failed, tf.constant(float("nan")), loss)


def _shared_columns(rows: list[Row]) -> tuple[list[int], dict[int, int]]:
    """Columns that two tasks have (one, if there is but one), and `{column: its only task}`."""
    shared, own = [], {}
    for v, column in enumerate(zip(*rows, strict=True)):
        tasks = [k for k, gradient in enumerate(column) if gradient is not None]
        if len(tasks) >= min(2, len(rows)):
            shared.append(v)
        elif tasks:
            own[v] = tasks[0]
    return shared, own


def _sum(gradients: Iterable[tf.Tensor | None]) -> tf.Tensor | None:
    present = [gradient for gradient in gradients if gradient is not None]
    return tf.add_n(present) if present else None
