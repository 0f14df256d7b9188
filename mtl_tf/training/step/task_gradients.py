"""Gradients of all task losses: of the variables, or of the representation the tasks share last."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import keras
import tensorflow as tf

from mtl_tf.training.step import replicas
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.forward import Forward, GlobalBatch, forward
from mtl_tf.training.step.losses import valid_pixels
from mtl_tf.training.step.plan import StepPlan

_Nest = TypeVar("_Nest")
Row = list[tf.Tensor | None]


class TaskGradients(NamedTuple):
    """Gradients of K task losses with respect to n tensors, `None` where a loss is independent.

    Attributes:
        rows: K lists of n gradients, of this replica's part of the batch.
        extra: n gradients of what is minimised beside the tasks.
        losses: `[K]` float32, of the whole batch.
        extra_loss: scalar, of the whole batch.
        is_present: bool `[K]`: whether a pixel of the task is valid in the whole batch.
    """

    rows: list[Row]
    extra: Row
    losses: tf.Tensor
    extra_loss: tf.Tensor
    is_present: tf.Tensor


def global_batch(plan: StepPlan, batch: Batch) -> GlobalBatch:
    """Return the batch of all replicas, of which `batch` is this one's part."""
    (counts,) = replicas.total([valid_pixels(plan.tasks, batch)])
    return GlobalBatch(counts, replicas.num_replicas() * plan.micro_batches)


def global_losses(passed: Forward) -> tuple[tf.Tensor, tf.Tensor]:
    """Losses `[K]` and the sum of what is minimised beside them, of all replicas."""
    extra = tf.add_n(passed.extra) if passed.extra else tf.zeros([])
    (sums,) = replicas.total([tf.stack([*passed.losses, tf.cast(extra, tf.float32)])])
    return sums[:-1], sums[-1]


def of_variables(
    plan: StepPlan, model: keras.Model, batch: Batch, scale: tf.Tensor
) -> TaskGradients:
    """Gradients with respect to the network's variables, one backward pass per task.

    Args:
        plan: of the step.
        model: the multi-task model.
        batch: this replica's part; run as `plan.micro_batches` parts one after another.
        scale: scalar that all gradients are multiplied by.

    Returns:
        `TaskGradients`.
    """
    whole = global_batch(plan, batch)
    variables = [v.value for v in plan.network_variables(model)]

    def of_part(part: Batch) -> tuple[list[Row], Row, tf.Tensor, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            passed = forward(plan, model, part, whole)
            scaled, scaled_extra = _scaled(plan, passed, scale)
        rows = [tape.gradient(loss, variables) for loss in scaled]
        return rows, _gradient(tape, scaled_extra, variables), *global_losses(passed)

    rows, extra, losses, extra_loss = summed_over_parts(of_part, batch, plan.micro_batches)
    return TaskGradients(rows, extra, losses, extra_loss, whole.counts > 0)


class FeatureGradients(NamedTuple):
    """Gradients of K task losses up to the representation that the tasks share last.

    Attributes:
        features: with respect to the n tensors of the representation.
        heads: K lists of gradients with respect to the variables of the heads.
        through_trunk: takes n directions, gives the gradients of the variables of the trunk.
    """

    features: TaskGradients
    heads: list[Row]
    through_trunk: Callable[[Row], Row]


def of_features(
    plan: StepPlan, model: keras.Model, batch: Batch, scale: tf.Tensor
) -> FeatureGradients:
    """Gradients with respect to the last shared representation, one backward of the heads per task.

    Args:
        plan: of the step.
        model: the multi-task model.
        batch: this replica's part of the batch.
        scale: scalar that all gradients are multiplied by.

    Returns:
        `FeatureGradients`; `features.extra` is with respect to the network's variables.
    """
    whole = global_batch(plan, batch)
    split = plan.split
    assert split is not None
    trunk = [v.value for v in split.trunk.trainable_variables]
    heads = [v.value for v in split.heads.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        passed = forward(plan, model, batch, whole)
        scaled, scaled_extra = _scaled(plan, passed, scale)
    head_inputs = split.trained(passed.head_inputs)
    representation = split.trained(passed.representation)
    rows = [tape.gradient(loss, [*head_inputs, *heads]) for loss in scaled]
    extra = _gradient(tape, scaled_extra, [v.value for v in plan.network_variables(model)])
    losses, extra_loss = global_losses(passed)
    n = len(head_inputs)
    return FeatureGradients(
        TaskGradients([row[:n] for row in rows], extra, losses, extra_loss, whole.counts > 0),
        [row[n:] for row in rows],
        lambda directions: tape.gradient(representation, trunk, output_gradients=directions),
    )


def summed_over_parts(function: Callable[[Batch], _Nest], batch: Batch, num_parts: int) -> _Nest:
    """Return the sum of what `function` gives for each of `num_parts` equal parts of a batch.

    One part after another, so that only one of them is in memory.

    Args:
        function: from a `Batch` to a nest of tensors and `None`.
        batch: `[B, ...]`, B a multiple of `num_parts`.
        num_parts: number of parts.

    Returns:
        A nest like that of `function`.

    Raises:
        ValueError: if B is known and not a multiple of `num_parts`.
        tf.errors.InvalidArgumentError: if it turns out so later.
    """
    if num_parts == 1:
        return function(batch)
    size = batch.image.shape[0]
    if size is not None and size % num_parts:
        raise ValueError(
            f"micro_batches={num_parts} must divide the batch size. Received a batch of {size}: "
            "use batches of a multiple (drop_remainder=True)"
        )
    tf.debugging.assert_equal(
        tf.shape(batch.image)[0] % num_parts, 0, f"micro_batches={num_parts} must divide the batch"
    )

    def part(i: tf.Tensor | int) -> Batch:
        def own(x: tf.Tensor | None) -> tf.Tensor | None:
            if x is None:
                return None
            length = tf.shape(x)[0] // num_parts
            piece = x[i * length : (i + 1) * length]
            known = None if x.shape[0] is None else x.shape[0] // num_parts
            return tf.ensure_shape(piece, [known, *x.shape[1:]])

        parts = tf.nest.map_structure(own, batch._replace(faults={}))
        return parts._replace(faults=batch.faults)

    first = function(part(0))
    present = [x is not None for x in tf.nest.flatten(first)]

    def add(i: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        terms = [x for x in tf.nest.flatten(function(part(i))) if x is not None]
        return i + 1, *(a + b for a, b in zip(sums, terms, strict=True))

    start = [x for x in tf.nest.flatten(first) if x is not None]
    _, *sums = tf.while_loop(
        lambda i, *_: i < num_parts, add, [tf.constant(1), *start], parallel_iterations=1
    )
    remaining = iter(sums)
    flat = [next(remaining) if is_present else None for is_present in present]
    return tf.nest.pack_sequence_as(first, flat)


def _scaled(
    plan: StepPlan, passed: Forward, scale: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor | None]:
    losses = [
        scale * factor * loss for factor, loss in zip(plan.loss_factors, passed.losses, strict=True)
    ]
    return losses, scale * tf.add_n(passed.extra) if passed.extra else None


def _gradient(tape: tf.GradientTape, loss: tf.Tensor | None, sources: Sequence[tf.Variable]) -> Row:
    return [None] * len(sources) if loss is None else tape.gradient(loss, sources)
