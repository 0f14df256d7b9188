"""The three ways from a batch to the gradients of an update, one for each cost of balancing."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.balancing import Scalarizer, Weighting
from mtl_tf.training import replicas
from mtl_tf.training.forward import Batch, forward
from mtl_tf.training.task_gradients import (
    Row,
    TaskGradients,
    of_features,
    of_variables,
    whole_batch,
    whole_losses,
)


class Update(NamedTuple):
    """What a step does and knows; of the whole batch, the same on all replicas but for gradients.

    Attributes:
        gradients: of the variables of the network, then of those of the balancing method; scaled
            as the optimizer wants them, to be summed over the replicas.
        loss: scalar that is minimised, or for gradient-based methods the sum of the losses.
        losses: `[K]`.
        is_present: bool `[K]`: tasks with a label.
        is_used: bool `[K]`: present tasks whose loss and gradient are finite.
        weights: `[K]` or `None`: the derivative of the update with respect to the task gradients.
        status: a `mtl_tf.ops.BalanceStatus`.
        gramian: `[K, K]` float64 of the gradients that were balanced, or `None`.
    """

    gradients: Row
    loss: tf.Tensor
    losses: tf.Tensor
    is_present: tf.Tensor
    is_used: tf.Tensor
    weights: tf.Tensor | None
    status: tf.Tensor
    gramian: tf.Tensor | None


def scalar_update(compiled: Any, model: Any, optimizer: Any, batch: Batch) -> Update:
    """A scalarizer's update: one backward pass of the weighted sum of the losses."""
    whole = whole_batch(compiled, batch)
    with tf.GradientTape() as tape:
        passed = forward(compiled, model, batch, whole)
        losses, extra_loss = whole_losses(passed)
        is_present = whole.counts > 0
        is_used = is_present & tf.math.is_finite(losses)
        scalar, weights, own = _scalarized(compiled, losses, is_used)
        terms = [
            weight * loss
            for weight, loss in zip(tf.unstack(weights), passed.losses, strict=True)
        ]  # fmt: skip
        scaled = optimizer.scale_loss(tf.add_n([*terms, *passed.extra]))
    gradients = tape.gradient(scaled, [v.value for v in compiled.network_variables(model)])
    own = [optimizer.scale_loss(g) / replicas.num_replicas() for g in own]
    is_faulty = tf.reduce_any(is_present & ~is_used)
    return Update(
        gradients=_zero_if(is_faulty, [*gradients, *own], optimizer),
        loss=_logged(scalar + extra_loss, is_present, is_used),
        losses=losses,
        is_present=is_present,
        is_used=is_used,
        weights=weights,
        status=tf.constant(int(ops.BalanceStatus.CONVERGED)),
        gramian=None,
    )


def parameter_update(compiled: Any, model: Any, optimizer: Any, batch: Batch) -> Update:
    """Balances the task gradients of the shared variables: K backward passes."""
    scale = optimizer.scale_loss(tf.ones([]))
    found = of_variables(compiled, model, batch, scale)
    columns, own_columns = _shared_columns(found.rows)
    rows = [replicas.total([row[v] for v in columns]) for row in found.rows]
    gramian = _gramian(compiled, rows, scale)
    balanced = _balanced(compiled, optimizer, found, rows, gramian)
    gradients: Row = [None] * len(found.extra)
    for v, direction in zip(columns, balanced.directions, strict=True):
        gradients[v] = direction / replicas.num_replicas()
    for v, k in own_columns.items():
        gradients[v] = _own(balanced, found.rows[k][v], k)
    gradients = [_sum(pair) for pair in zip(gradients, found.extra, strict=True)]
    return _update(found, [*gradients, *balanced.method_gradients], balanced, gramian)


def feature_update(compiled: Any, model: Any, optimizer: Any, batch: Batch) -> Update:
    """Balances the task gradients of the last shared representation: one backward of the trunk.

    Every replica has the representation of its own images, so only the Gramian is summed over them.
    """
    scale = optimizer.scale_loss(tf.ones([]))
    found, heads, through_trunk = of_features(compiled, model, batch, scale)
    columns, own_columns = _shared_columns(heads)
    n = len(found.rows[0])
    rows = [[*row, *(head[v] for v in columns)]
            for row, head in zip(found.rows, heads, strict=True)]  # fmt: skip
    (gramian,) = replicas.total([_gramian(compiled, rows, scale)])
    balanced = _balanced(compiled, optimizer, found, rows, gramian)
    head_gradients = dict(zip(columns, balanced.directions[n:], strict=True))
    for v, k in own_columns.items():
        head_gradients[v] = _own(balanced, heads[k][v], k)
    cut = compiled.cut
    variables = compiled.network_variables(model)
    parts: dict[int, list[Any]] = {id(v): [] for v in variables}
    for v, variable in enumerate(cut.heads.trainable_variables):
        parts[id(variable)].append(head_gradients.get(v))
    trunk_gradients = through_trunk(balanced.directions[:n])
    for variable, gradient in zip(cut.trunk.trainable_variables, trunk_gradients, strict=True):
        parts[id(variable)].append(gradient)
    gradients = [
        _sum([*parts[id(variable)], extra])
        for variable, extra in zip(variables, found.extra, strict=True)
    ]
    return _update(found, [*gradients, *balanced.method_gradients], balanced, gramian)


# === Balancing ===


class _Balanced(NamedTuple):
    """The outcome of balancing: directions of the shared tensors and what else an update needs."""

    directions: Row
    method_gradients: Row
    loss: tf.Tensor
    weights: tf.Tensor | None
    own_weights: tf.Tensor
    status: tf.Tensor
    is_used: tf.Tensor


def _balanced(
    compiled: Any,
    optimizer: Any,
    found: TaskGradients,
    rows: list[Row],
    gramian: tf.Tensor | None,
) -> _Balanced:
    """Combines the rows of task gradients by the method; faulty tasks are left out."""
    method = compiled.balancing
    is_used = found.is_present & tf.math.is_finite(found.losses)
    if gramian is not None:
        is_used &= tf.math.is_finite(tf.linalg.diag_part(gramian))
        both = is_used[:, None] & is_used[None, :]
        gramian = tf.where(both, gramian, tf.zeros_like(gramian))
    if not _has_loss_scale(optimizer):
        rows = _without_faulty(rows, found.is_present, is_used)
    factors = tf.constant(compiled.loss_factors)
    loss = tf.reduce_sum(tf.where(is_used, factors * found.losses, 0.0))
    weights, own = None, Row()
    status = tf.constant(int(ops.BalanceStatus.CONVERGED))
    own_weights = tf.cast(is_used, tf.float32)
    if isinstance(method, Scalarizer):
        loss, derivative, own = _scalarized(compiled, found.losses, is_used)
        # The rows are gradients of losses times their factors.
        weights = tf.math.divide_no_nan(derivative, factors)
        own = [optimizer.scale_loss(g) / replicas.num_replicas() for g in own]
    elif isinstance(method, Weighting):
        report = method.weigh(gramian, found.losses * factors, is_used, training=True)
        weights, status = report.weights, report.status
    else:
        directions, status = method.combine(rows, training=True)
    if weights is not None:
        directions = ops.weighted_sum(rows, weights)
        weights = tf.cast(weights, tf.float32)
        if compiled.weight_own_variables or isinstance(method, Scalarizer):
            own_weights = weights
        weights = weights * factors
    return _Balanced(directions, own, loss, weights, own_weights, status, is_used)


def _scalarized(
    compiled: Any, losses: tf.Tensor, is_used: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Row]:
    """A scalarizer's scalar, its derivative `[K]`, and the gradients of its own variables."""
    method = compiled.balancing
    losses = tf.stop_gradient(tf.where(is_used, losses, tf.zeros_like(losses)))
    with tf.GradientTape() as tape:
        tape.watch(losses)
        scalar = method(losses * tf.constant(compiled.loss_factors), is_used, training=True)
    own_variables = [v.value for v in method.trainable_variables]
    weights, *own = tape.gradient(scalar, [losses, *own_variables])
    return tf.stop_gradient(scalar), tf.stop_gradient(weights), own


def _gramian(compiled: Any, rows: list[Row], scale: tf.Tensor) -> tf.Tensor | None:
    """The Gramian of unscaled gradients, where the method or the diagnostics look at it."""
    if not (isinstance(compiled.balancing, Weighting) or compiled.diagnostics):
        return None
    return ops.gramian(rows) / tf.cast(scale, tf.float64) ** 2


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


# === Small parts ===


def _own(balanced: _Balanced, gradient: Any, task: int) -> tf.Tensor:
    """The gradient of a variable that one task alone has; 0 where the task is left out."""
    weight = tf.cast(balanced.own_weights[task], gradient.dtype)
    return tf.math.multiply_no_nan(gradient, weight)


def _update(
    found: TaskGradients, gradients: Row, balanced: _Balanced, gramian: tf.Tensor | None
) -> Update:
    return Update(
        gradients=gradients,
        loss=_logged(balanced.loss + found.extra_loss, found.is_present, balanced.is_used),
        losses=found.losses,
        is_present=found.is_present,
        is_used=balanced.is_used,
        weights=balanced.weights,
        status=balanced.status,
        gramian=gramian,
    )


def _logged(loss: tf.Tensor, is_present: tf.Tensor, is_used: tf.Tensor) -> tf.Tensor:
    """The loss, or NaN if there are labels but no task with a finite loss: training has failed."""
    has_failed = tf.reduce_any(is_present) & ~tf.reduce_any(is_used)
    return tf.where(has_failed, tf.constant(float("nan")), loss)


def _has_loss_scale(optimizer: Any) -> bool:
    """Whether the optimizer itself must see gradients that are not finite, to lower its scale."""
    return isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)


def _zero_if(condition: tf.Tensor, row: Row, optimizer: Any) -> Row:
    """`row`, or zeros; the usual case costs nothing."""
    if _has_loss_scale(optimizer):
        return row
    return _mapped_if(condition, row, lambda i, gradient: tf.zeros_like(gradient))


def _without_faulty(rows: list[Row], is_present: tf.Tensor, is_used: tf.Tensor) -> list[Row]:
    """The rows with zeros for tasks that are not used; the usual case costs nothing."""
    n = len(rows[0])
    flat = [gradient for row in rows for gradient in row]
    flat = _mapped_if(
        tf.reduce_any(is_present & ~is_used),
        flat,
        lambda i, gradient: tf.where(is_used[i // n], gradient, tf.zeros_like(gradient)),
    )
    return [flat[k * n : (k + 1) * n] for k in range(len(rows))]


def _mapped_if(condition: tf.Tensor, row: Row, function: Any) -> Row:
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


def _sum(gradients: Any) -> Any:
    present = [gradient for gradient in gradients if gradient is not None]
    return tf.add_n(present) if present else None
