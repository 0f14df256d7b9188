"""The plan of a step: everything it depends on, fixed by `MultiTaskTrainer.compile`."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import keras

from mtl_tf.balancing import Balancing
from mtl_tf.tasks import Task
from mtl_tf.training.optimizer.asynchronous import AsynchronousUpdates
from mtl_tf.training.optimizer.weight_average import WeightAverage
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.metrics import TaskLogs
from mtl_tf.training.step.split_model import SplitModel
from mtl_tf.training.step.update import Update


class Strategy(Protocol):
    """From a batch to its update; one for each cost of balancing, see `strategies`."""

    def __call__(
        self,
        plan: "StepPlan",
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch: Batch,
    ) -> Update:
        """Return the update of this replica's part of a batch."""


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """Everything a step depends on. Keras does not track it, so compiling again replaces it all.

    Attributes:
        tasks: the K tasks.
        balancing: the method.
        loss_factors: factors of the losses before balancing, K numbers.
        loss_functions: `{task: loss}`.
        ignored: `{task: label}` of pixels without a label.
        initial_weight: factor of the losses of outputs `task/...`.
        outputs: symbolic outputs of the model; `None` of a subclassed one.
        logs: the metrics.
        view: the model before its outputs are upsampled, which steps run.
        split: the view as trunk and heads, where a step needs the gradients in between.
        gradient_penalties: layers that turn task gradients into something minimised too.
        weight_own_variables: whether the weights of a weighting scale the gradients of the
            variables of one task alone as well.
        micro_batches: number of parts a batch is run in.
        weight_decay: factor of the L2 penalty's gradient.
        asynchronous: applies gradients where some tasks' variables wait, or `None`.
        average: the moving average of the weights, or `None`.
        diagnostics: whether to log what the task gradients look like.
        strategy: from a batch to its update.
    """

    tasks: tuple[Task, ...]
    balancing: Balancing
    loss_factors: tuple[float, ...]
    loss_functions: dict[str, keras.losses.Loss]
    ignored: dict[str, int]
    initial_weight: float
    outputs: Mapping[str, keras.KerasTensor] | None
    logs: TaskLogs
    view: keras.Model
    split: SplitModel | None
    gradient_penalties: tuple[keras.layers.Layer, ...]
    weight_own_variables: bool
    micro_batches: int
    weight_decay: float
    asynchronous: AsynchronousUpdates | None
    average: WeightAverage | None
    diagnostics: bool
    strategy: Strategy

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers beside the model that are saved, and in part trained, with it."""
        optional = [layer for layer in (self.asynchronous, self.average) if layer is not None]
        return [*self.gradient_penalties, self.balancing, *optional]

    def network_variables(self, model: keras.Model) -> list[keras.Variable]:
        """Return the variables that gradients of the losses and penalties are taken of."""
        own = [v for penalty in self.gradient_penalties for v in penalty.trainable_variables]
        return [*model.trainable_variables, *own]
