"""What `MultiTaskTrainer.compile` chose, checked."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import keras

from mtl_tf import balancing as balancing_module
from mtl_tf.balancing import Balancing, Scalarizer, Weighting
from mtl_tf.tasks import Task
from mtl_tf.training.optimizer.asynchronous import AsynchronousUpdates
from mtl_tf.training.step import replicas
from mtl_tf.training.step.before_upsampling import low_resolution
from mtl_tf.training.step.losses import symbolic_outputs
from mtl_tf.training.step.masked_loss import as_loss
from mtl_tf.training.step.metrics import TaskLogs
from mtl_tf.training.step.split_model import CutModel, cut_at_last_shared, own_variables
from mtl_tf.training.step.strategies import feature_update, parameter_update, scalar_update

Level = Literal["parameters", "features"]


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Everything a step depends on. Keras does not track it, so compiling again replaces it all.

    Attributes:
        tasks: the K tasks.
        balancing: the method.
        loss_factors: factors of the losses before balancing, K numbers.
        loss_functions: `{task: loss}`.
        initial_weight: factor of the losses of outputs `task/...`.
        outputs: symbolic outputs of the model; `None` of a subclassed one.
        logs: the metrics.
        view: the model before its outputs are enlarged, which steps run.
        cut: the view as trunk and heads, where a step needs the gradients in between.
        gradient_penalties: layers that turn task gradients into something minimised too.
        weight_own_variables: whether the weights of a weighting scale the gradients of the
            variables of one task alone as well.
        micro_batches: number of parts a batch is run in.
        weight_decay: factor of the L2 penalty's gradient.
        asynchronous: applies gradients where some tasks' variables wait, or `None`.
        diagnostics: whether to log what the task gradients look like.
        update: from a batch to the gradients of the update.
    """

    tasks: tuple[Task, ...]
    balancing: Balancing
    loss_factors: tuple[float, ...]
    loss_functions: dict[str, Any]
    initial_weight: float
    outputs: Mapping[str, Any] | None
    logs: TaskLogs
    view: keras.Model
    cut: CutModel | None
    gradient_penalties: tuple[keras.layers.Layer, ...]
    weight_own_variables: bool
    micro_batches: int
    weight_decay: float
    asynchronous: AsynchronousUpdates | None
    diagnostics: bool
    update: Callable[..., Any]

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers beside the model that are saved, and in part trained, with it."""
        layers = [*self.gradient_penalties, self.balancing]
        return layers if self.asynchronous is None else [*layers, self.asynchronous]

    def network_variables(self, model: keras.Model) -> list[Any]:
        """The variables that gradients of the losses and penalties are taken of."""
        own = [v for penalty in self.gradient_penalties for v in penalty.trainable_variables]
        return [*model.trainable_variables, *own]


def compiled(
    model: keras.Model,
    tasks: tuple[Task, ...],
    balancing: "str | Balancing | None",
    level: Level,
    loss: Mapping[str, Any] | None,
    metrics: Mapping[str, Any] | None,
    loss_weights: Mapping[str, float] | None,
    initial_weight: float,
    gradient_penalties: Sequence[keras.layers.Layer],
    weight_own_variables: bool,
    micro_batches: int,
    update_every: Mapping[str, int] | None,
    weight_decay: float,
    diagnostics: bool,
    optimizer: Any,
) -> Compiled:
    """Checks the arguments of `MultiTaskTrainer.compile`, whose names and meanings these are.

    Returns:
        What the training step reads.

    Raises:
        ValueError: for an unknown method, level or task, or options that exclude each other.
    """
    names = [task.name for task in tasks]
    by_task = {
        "loss": loss,
        "metrics": metrics,
        "loss_weights": loss_weights,
        "update_every": update_every,
    }
    for argument, value in by_task.items():
        if value is not None and (not isinstance(value, Mapping) or set(value) - set(names)):
            raise ValueError(
                f"{argument} must be a dictionary by task ({names}). Received: {value!r}"
            )
    method = balancing_module.get(balancing)
    is_scalarizer = isinstance(method, Scalarizer)
    if level not in get_args(Level):
        raise ValueError(f"level must be one of {get_args(Level)}. Received: {level!r}")
    if level == "features" and is_scalarizer:
        raise ValueError(
            f"level='features' is for weightings and aggregators; {type(method).__name__} needs "
            "the losses alone and one backward pass: leave level out"
        )
    if not isinstance(micro_batches, int) or micro_batches < 1:
        raise ValueError(f"micro_batches must be a positive integer. Received: {micro_batches!r}")
    if weight_decay and update_every:
        raise ValueError(
            "weight_decay and update_every exclude each other: variables that wait would decay in "
            "every step. Give the optimizer its own (decoupled) weight_decay"
        )
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must not be negative. Received: {weight_decay!r}")
    if micro_batches > 1 and level == "features":
        raise ValueError(
            "micro_batches needs level='parameters': the weights are known only after the last "
            "micro-batch, when the features of the others are gone"
        )
    if weight_own_variables and not isinstance(method, Weighting):
        raise ValueError(
            "weight_own_variables is for weightings: a scalarizer always does that and an "
            f"aggregator has no weights. Received: balancing={type(method).__name__}"
        )
    if not method.built:
        method.build((len(tasks),))
        method.built = True
    loss_functions = {
        task.name: as_loss((loss or {}).get(task.name) or task.loss(), task.name, task.kind)
        for task in tasks
    }
    outputs = symbolic_outputs(model)
    view = low_resolution(model, loss_functions)
    cut = None
    if level == "features" or gradient_penalties:
        cut = cut_at_last_shared(view, names)
        shapes = [tensor.shape for tensor in cut.trained(cut.trunk.outputs)]
        for penalty in gradient_penalties:
            if not penalty.built:
                penalty.build((len(tasks), *shapes))
                penalty.built = True
    needs_gradients = not is_scalarizer or diagnostics or micro_batches > 1
    gradient_update = feature_update if level == "features" else parameter_update
    return Compiled(
        tasks=tasks,
        balancing=method,
        loss_factors=tuple(float((loss_weights or {}).get(name, 1.0)) for name in names),
        loss_functions=loss_functions,
        initial_weight=float(initial_weight),
        outputs=outputs,
        logs=TaskLogs(tasks, metrics or {}, outputs, method, diagnostics),
        view=view,
        cut=cut,
        gradient_penalties=tuple(gradient_penalties),
        weight_own_variables=weight_own_variables,
        micro_batches=micro_batches,
        weight_decay=float(weight_decay),
        asynchronous=_asynchronous(update_every, model, names, optimizer),
        diagnostics=diagnostics,
        update=gradient_update if needs_gradients else scalar_update,
    )


def _asynchronous(
    update_every: Mapping[str, int] | None, model: keras.Model, tasks: list[str], optimizer: Any
) -> AsynchronousUpdates | None:
    if not update_every:
        return None
    if any(not isinstance(steps, int) or steps < 1 for steps in update_every.values()):
        raise ValueError(
            f"update_every must be {{task: positive integer}}. Received: {update_every}"
        )
    has_loss_scale = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    if has_loss_scale or optimizer.use_ema or replicas.num_replicas() > 1:
        raise ValueError(
            "update_every works with one replica and an optimizer without loss scaling and EMA "
            f"(use mixed_bfloat16 in the place of mixed_float16). Received: {optimizer}"
        )
    return AsynchronousUpdates(tasks, update_every, own_variables(model, tasks))
