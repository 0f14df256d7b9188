"""From the arguments of `MultiTaskTrainer.compile` to the plan of a step."""

import dataclasses
import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from mtl_tf import balancing as balancing_module
from mtl_tf.balancing import Balancing, Scalarizer, Weighting
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task
from mtl_tf.training.optimizer.asynchronous import AsynchronousUpdates
from mtl_tf.training.optimizer.weight_average import WeightAverage
from mtl_tf.training.step import replicas
from mtl_tf.training.step.before_upsampling import before_upsampling
from mtl_tf.training.step.losses import symbolic_outputs
from mtl_tf.training.step.masked_loss import as_loss
from mtl_tf.training.step.metrics import TaskLogs
from mtl_tf.training.step.plan import StepPlan, Strategy
from mtl_tf.training.step.split_model import own_variables, split_at_last_shared
from mtl_tf.training.step.strategies import feature_gradients, parameter_gradients, summed_loss

Level = Literal["parameters", "features"]


@dataclasses.dataclass(frozen=True)
class CompileOptions:
    """The arguments of `MultiTaskTrainer.compile`, whose names and meanings these are."""

    balancing: "str | Balancing | None"
    level: Level
    loss: Mapping[str, Any] | None
    metrics: Mapping[str, Any] | None
    loss_weights: Mapping[str, float] | None
    ignore: int | Mapping[str, int] | None
    initial_weight: float
    gradient_penalties: Sequence[keras.layers.Layer]
    weight_own_variables: bool
    micro_batches: int
    update_every: Mapping[str, int] | None
    weight_decay: float
    ema_momentum: float
    diagnostics: bool


def make_plan(
    model: keras.Model,
    tasks: tuple[Task, ...],
    options: CompileOptions,
    optimizer: keras.optimizers.Optimizer,
) -> StepPlan:
    """Check the options of `compile` and return the plan of a step.

    Raises:
        ValueError: for an unknown method, level or task, or options that exclude each other.
    """
    names = [task.name for task in tasks]
    by_task = {
        "loss": options.loss,
        "metrics": options.metrics,
        "loss_weights": options.loss_weights,
        "update_every": options.update_every,
    }
    for argument, value in by_task.items():
        if value is not None and (not isinstance(value, Mapping) or set(value) - set(names)):
            raise ValueError(
                f"{argument} must be a dictionary by task ({names}). Received: {value!r}"
            )
    method = balancing_module.get(options.balancing)
    is_scalarizer = isinstance(method, Scalarizer)
    if options.level not in get_args(Level):
        raise ValueError(f"level must be one of {get_args(Level)}. Received: {options.level!r}")
    if options.level == "features" and is_scalarizer:
        raise ValueError(
            f"level='features' is for weightings and aggregators; {type(method).__name__} needs "
            "the losses alone and one backward pass: leave level out"
        )
    parts = options.micro_batches
    if not isinstance(parts, int) or parts < 1:
        raise ValueError(f"micro_batches must be a positive integer. Received: {parts!r}")
    backbone = getattr(model, "backbone", None)
    if options.update_every and backbone is not None and not backbone.trainable:
        raise ValueError(
            "update_every and a frozen backbone exclude each other: the sums of its gradients "
            "would begin when it is unfrozen. Unfreeze it before compile"
        )
    if options.weight_decay and options.update_every:
        raise ValueError(
            "weight_decay and update_every exclude each other: variables that wait would decay in "
            "every step. Give the optimizer its own (decoupled) weight_decay"
        )
    if not options.weight_decay >= 0:
        raise ValueError(f"weight_decay must not be negative. Received: {options.weight_decay!r}")
    if parts > 1 and options.level == "features":
        raise ValueError(
            "micro_batches needs level='parameters': the weights are known only after the last "
            "micro-batch, when the features of the others are gone"
        )
    if options.weight_own_variables and not isinstance(method, Weighting):
        raise ValueError(
            "weight_own_variables is for weightings: a scalarizer always does that and an "
            f"aggregator has no weights. Received: balancing={type(method).__name__}"
        )
    _warn_of_float16(model)
    if not method.built:
        method.build((len(tasks),))
        method.built = True
    loss_functions = {
        task.name: as_loss((options.loss or {}).get(task.name) or task.loss(), task.name, task.kind)
        for task in tasks
    }
    outputs = symbolic_outputs(model)
    view = before_upsampling(model, loss_functions)
    split = None
    if options.level == "features" or options.gradient_penalties:
        split = split_at_last_shared(view, names)
        shapes = [tensor.shape for tensor in split.trained(split.trunk.outputs)]
        for penalty in options.gradient_penalties:
            if not penalty.built:
                penalty.build((len(tasks), *shapes))
                penalty.built = True
    needs_gradients = not is_scalarizer or options.diagnostics or parts > 1
    gradients: Strategy = feature_gradients if options.level == "features" else parameter_gradients
    return StepPlan(
        tasks=tasks,
        balancing=method,
        loss_factors=tuple(float((options.loss_weights or {}).get(name, 1.0)) for name in names),
        loss_functions=loss_functions,
        ignored=_ignored(options.ignore, tasks, loss_functions),
        initial_weight=float(options.initial_weight),
        outputs=outputs,
        logs=TaskLogs(tasks, options.metrics or {}, outputs, method, options.diagnostics),
        view=view,
        split=split,
        gradient_penalties=tuple(options.gradient_penalties),
        weight_own_variables=options.weight_own_variables,
        micro_batches=parts,
        weight_decay=float(options.weight_decay),
        asynchronous=_asynchronous(options.update_every, model, names, optimizer),
        average=_average(options.ema_momentum, model),
        diagnostics=options.diagnostics,
        strategy=gradients if needs_gradients else summed_loss,
    )


def _ignored(
    ignore: int | Mapping[str, int] | None,
    tasks: Sequence[Task],
    loss_functions: Mapping[str, keras.losses.Loss],
) -> dict[str, int]:
    """Return `{task: label}` of pixels without a label: as asked for, or as a Keras loss does."""
    ignored = {
        name: loss.original.ignore_class
        for name, loss in loss_functions.items()
        if getattr(getattr(loss, "original", None), "ignore_class", None) is not None
    }
    if ignore is None:
        return ignored
    if not isinstance(ignore, Mapping):
        ignore = {task.name: ignore for task in tasks if task.kind is TargetKind.CLASSES}
        if not ignore:
            raise ValueError("ignore: no task has class ids; give {task: label}, such as 255")
    names = [task.name for task in tasks]
    are_labels = all(
        isinstance(label, numbers.Integral) and not isinstance(label, bool)
        for label in ignore.values()
    )
    if set(ignore) - set(names) or not are_labels:
        raise ValueError(
            f"ignore must be a label such as 255, or {{task: label}} of {names}. "
            f"Received: {ignore!r}"
        )
    return ignored | {name: int(label) for name, label in ignore.items()}


def _warn_of_float16(model: keras.Model) -> None:
    layers = [layer for layer in model._flatten_layers() if layer.weights]
    is_half = any(layer.compute_dtype == "float16" for layer in layers)
    if is_half and not tf.config.get_visible_devices("GPU"):
        warnings.warn(
            "The network computes in float16 without a GPU, which is very slow: use the policy "
            "mixed_bfloat16, or float32",
            stacklevel=4,
        )


def _asynchronous(
    update_every: Mapping[str, int] | None,
    model: keras.Model,
    tasks: list[str],
    optimizer: keras.optimizers.Optimizer,
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
            f"(use mixed_bfloat16 instead of mixed_float16). Received: {optimizer}"
        )
    return AsynchronousUpdates(tasks, update_every, own_variables(model, tasks))


def _average(momentum: float, model: keras.Model) -> WeightAverage | None:
    return WeightAverage(momentum, model.variables) if momentum else None
