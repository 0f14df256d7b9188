"""The trainer: one custom training step for every architecture and balancing method."""

import contextlib
import dataclasses
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.balancing import Balancing, Scalarizer
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.task_config import task_config
from mtl_tf.tasks import Task, TasksLike, as_tasks
from mtl_tf.training.callbacks.end_of_epoch import AnnounceEpoch, EndOfEpoch, as_list
from mtl_tf.training.compile import CompileOptions, Level, make_plan
from mtl_tf.training.idle_training import warn_of_idle_training
from mtl_tf.training.optimizer.frozen import build_for_frozen_backbone
from mtl_tf.training.optimizer.l2 import with_l2
from mtl_tf.training.optimizer.learning_rate_multipliers import apply_learning_rate_multipliers
from mtl_tf.training.optimizer.weight_average import ValidateAverage, WeightAverage
from mtl_tf.training.optimizer.weight_decay import exclude_from_weight_decay
from mtl_tf.training.ownership import owned
from mtl_tf.training.preset import save_preset
from mtl_tf.training.resumable import ResumableTrainer
from mtl_tf.training.step.after_update import losses_of_outputs, report_losses_after_update
from mtl_tf.training.step.batch_checks import Batch, checked_batch, entry
from mtl_tf.training.step.losses import check_outputs, symbolic_outputs
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.typing import TensorLike


@keras.saving.register_keras_serializable(package="mtl_tf")
class MultiTaskTrainer(ResumableTrainer):
    """Trains a multi-task model: `compile`, `fit`, `evaluate` and `predict` as in Keras.

    Examples:
        >>> tasks = {"semseg": 13, "depth": 1}
        >>> network = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3))
        >>> trainer = mtl.MultiTaskTrainer(network, tasks)
        >>> trainer.compile(keras.optimizers.Adam(1e-4), balancing="uncertainty")
        >>> trainer.fit(data.train(), validation_data=data.val(), epochs=100)  # doctest: +SKIP
        >>> trainer.network.save("model.keras")  # doctest: +SKIP

    A batch is `(image [B, H, W, 3], {task: target [B, H, W, C]}, {task: validity mask [B, H, W]})`.
    A task without a valid pixel in a batch takes no part in that step. The logs hold `loss` (what
    is minimised; the sum of the losses for gradient-based methods) and for each task `<task>_loss`,
    `<task>_weight` (the weight of its gradient in the update) and its metrics; `not_finite`, how
    often a task was left out because its loss or gradient was NaN or infinite; for weightings
    `fallbacks` and `unsolved`, how often the method had no solution or no exact one.

    Source: the frame of Vandenhende et al., TPAMI 2021, section 3.

    Args:
        network: functional model with outputs `{task: [B, H, W, C]}`, and optionally
            `{task/...: [B, h, w, C]}` for deeply supervised predictions, whose losses are added.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects; each needs an output.
        name: name of the trainer.

    Raises:
        ValueError: if the model lacks an output for a task or has another number of channels.
    """

    def __init__(
        self, network: keras.Model, tasks: TasksLike, name: str | None = "multi_task_trainer"
    ) -> None:
        super().__init__(name=name)
        self.network = network
        self.tasks: tuple[Task, ...] = as_tasks(tasks)
        outputs = symbolic_outputs(network)
        if outputs is None and not network.built:
            raise ValueError(
                f"The network {network.name!r} is neither functional nor built: call it on a batch "
                "of images first, so that its variables exist"
            )
        names = [task.name for task in self.tasks]
        for task in self.tasks if outputs is not None else ():
            check_outputs(task, outputs, names)
        self._describe_tasks()
        self._plan: StepPlan | None = None  # once `compile` has been called
        self._arguments: dict[str, Any] = {}  # of `compile`
        self._steps_to_skip = 0
        self.built = True  # the wrapped model is; `call` makes nothing

    def _describe_tasks(self) -> None:
        """Store the tasks with an architecture, so that its file tells what its outputs are."""
        add_metadata = getattr(self.network, "add_metadata", None)
        if add_metadata is not None:
            # A task that cannot be stored is an error when the trainer or a preset is saved.
            with contextlib.suppress(ValueError):
                add_metadata(tasks=[task_config(task) for task in self.tasks])

    # === Compiling ===

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "adam",
        *,
        balancing: "str | Balancing | None" = None,
        level: Level = "parameters",
        loss: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        ignore: int | Mapping[str, int] | None = None,
        initial_weight: float = 1.0,
        gradient_penalties: Sequence[keras.layers.Layer] = (),
        weight_own_variables: bool = False,
        micro_batches: int = 1,
        update_every: Mapping[str, int] | None = None,
        weight_decay: float = 0.0,
        ema_momentum: float = 0.0,
        diagnostics: bool = False,
        **kwargs: Any,
    ) -> None:
        """Configure training.

        Args:
            optimizer: a Keras optimizer or its name.
            balancing: a name from `mtl_tf.balancing.TABLE`, an object, or `None` for equal weights.
                An object that another trainer has used is copied and begins with fresh state.
            level: what a weighting or aggregator balances: the task gradients of the shared
                `"parameters"` (those whose gradient two or more tasks have), or of the last shared
                `"features"`, which needs one backward pass through the trunk instead of K.
            loss: `{task: loss}` for tasks that are not to use their own.
            metrics: `{task: metric or list of metrics}` for tasks that are not to use their own.
            loss_weights: `{task: factor}` of the losses before balancing; 1 where missing. The
                losses in the logs are without it.
            ignore: label of pixels without a label, such as 255: of all tasks of class ids, or
                `{task: label}`. The validity masks are set to 0 there.
            initial_weight: factor of the losses of deeply supervised outputs, `task/...`, in the
                loss of their task.
            gradient_penalties: layers of `mtl_tf.training` that turn the task gradients of the last
                shared features into a term of the loss. One that another trainer has used is
                copied.
            weight_own_variables: whether the weights of a weighting also scale the gradients of
                the variables that one task alone has; without it they get that task's gradient.
            micro_batches: number of equal parts a batch is run in, one after another; balances the
                sums of their task gradients: K gradients of all variables are kept, but only one
                part's activations. Batch normalisation sees the parts.
            update_every: `{task: steps}`: the variables that this task alone has are updated only
                every n-th step with its labels, by the mean of their gradients (asynchronous
                updates); 1 where missing.
            weight_decay: L2 coefficient added to every gradient (coupled weight decay), before the
                optimizer sees it, as PyTorch's optimizers do. (A Keras
                optimizer's own `weight_decay` is decoupled.)
            ema_momentum: momentum of an exponential moving average of the weights, such as 0.999; 0
                for none. Validation in `fit` and `KeepBest` evaluate the average, and at the end of
                `fit` the network has it.
            diagnostics: also log norms, cosines and conflicts of the task gradients. A scalarizer
                then takes K backward passes.
            **kwargs: the other arguments of `keras.Model.compile`.

        Raises:
            ValueError: for an unknown method or task, or options that exclude each other.
        """
        balancing = owned(balancing, self)
        gradient_penalties = [owned(penalty, self) for penalty in gradient_penalties]
        options = CompileOptions(
            balancing=balancing,
            level=level,
            loss=_made(loss),
            metrics=metrics,
            loss_weights=loss_weights,
            ignore=ignore,
            initial_weight=initial_weight,
            gradient_penalties=gradient_penalties,
            weight_own_variables=weight_own_variables,
            micro_batches=micro_batches,
            update_every=update_every,
            weight_decay=weight_decay,
            ema_momentum=ema_momentum,
            diagnostics=diagnostics,
        )
        self._plan, self._arguments = None, {}  # if one of them is refused
        with self.distribute_strategy.scope():  # or replicas would have no copies of the state
            super().compile(optimizer=optimizer, **kwargs)
            self._plan = make_plan(self.network, self.tasks, options, self.optimizer)
            apply_learning_rate_multipliers(self.optimizer, self.network.trainable_variables)
            own = [v for layer in self._plan.layers for v in layer.trainable_variables]
            exclude_from_weight_decay(self.optimizer, own)
            build_for_frozen_backbone(self.optimizer, self)
        self._arguments = {"optimizer": optimizer, **vars(options), **kwargs}

    def compile_again(self) -> None:
        """Compile again with the same arguments, after layers were frozen or unfrozen.

        Optimizer, balancing method and moving average continue with their state.
        """
        average = self.plan.average
        arguments = {**self._arguments, "optimizer": self.optimizer, "balancing": self.balancing}
        self.compile(**arguments)
        self._plan = dataclasses.replace(self.plan, average=average)
        self.make_train_function(force=True)

    @property
    def plan(self) -> StepPlan:
        """The plan of a step; `ValueError` before `compile`."""
        if self._plan is None:
            raise ValueError("You must call `compile()` before using the trainer")
        return self._plan

    @property
    def balancing(self) -> Balancing | None:
        """The balancing method given to `compile`, `None` before."""
        return self._plan.balancing if self._plan else None

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of the model, of the balancing method and of the gradient penalties."""
        return [v for layer in self._saved_layers() for v in layer.variables]

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights of the model, of the balancing method and of the gradient penalties."""
        return [v for layer in self._saved_layers() for v in layer.weights]

    @property
    def gradient_penalties(self) -> tuple[keras.layers.Layer, ...]:
        """The gradient penalties given to `compile`."""
        return self._plan.gradient_penalties if self._plan else ()

    @property
    def asynchronous(self) -> keras.layers.Layer | None:
        """Layer of the delayed updates of `update_every`; `None` without it."""
        return self._plan.asynchronous if self._plan else None

    @property
    def weight_average(self) -> WeightAverage | None:
        """The moving average of the weights (`ema_momentum`); `None` without it."""
        return self._plan.average if self._plan else None

    def _saved_layers(self) -> list[keras.layers.Layer]:
        return [self.network, *(self._plan.layers if self._plan else [])]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All metrics, reset by Keras at the start of each epoch."""
        return self._plan.logs.all() if self._plan else []

    # === Steps ===

    def call(self, image: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Return the wrapped model's outputs."""
        return self.network(image, training=training)

    def train_step(self, data: tuple[Any, ...]) -> dict[str, tf.Tensor]:
        """Run one update: losses of all tasks, balancing, gradients, optimizer."""
        plan = self.plan
        batch = self._checked(data)
        if not self.network.trainable_variables:
            return self._step_without_update(batch, training=True)
        update = plan.strategy(plan, self.network, self.optimizer, batch)
        variables = self.trainable_variables
        if plan.weight_decay:
            update = with_l2(update, plan.weight_decay, self.network, self.optimizer)
        if plan.asynchronous is None:
            self.optimizer.apply_gradients(zip(update.gradients, variables, strict=True))
        else:
            plan.asynchronous.apply(self.optimizer, update.gradients, variables, update.is_used)
        if plan.average is not None:
            plan.average.update()
        if plan.balancing.sees_losses_after_update:
            report_losses_after_update(plan, self.network, batch, update)
        plan.logs.update(update)
        plan.logs.images.update_state(batch.image)
        return plan.logs.results(is_training=True)

    def test_step(self, data: tuple[Any, ...]) -> dict[str, tf.Tensor]:
        """Compute losses and metrics of a batch, without an update."""
        return self._step_without_update(self._checked(data), training=False)

    def _step_without_update(self, batch: Batch, training: bool) -> dict[str, tf.Tensor]:
        plan = self.plan
        outputs = self.network(batch.image, training=training)
        losses, is_present = losses_of_outputs(plan, outputs, batch)
        factored = losses * tf.constant(plan.loss_factors)
        if isinstance(plan.balancing, Scalarizer):
            loss = plan.balancing(factored, is_present, training=False)
        else:
            loss = tf.reduce_sum(factored)
        plan.logs.update_losses(tf.add_n([loss, *self.network.losses]), losses, is_present)
        plan.logs.update_metrics(outputs, batch)
        return plan.logs.results(is_training=False)

    def _checked(self, data: tuple[Any, ...]) -> Batch:
        plan = self.plan
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(data)
        return checked_batch(image, targets, masks, self.tasks, plan.outputs, plan.ignored)

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Return the logs of the epoch so far."""
        return self.plan.logs.results(is_training=bool(self.network.trainable_variables))

    def last_gradients(self) -> dict[str, float]:
        """Return the gradient diagnostics of the last step; empty without `diagnostics=True`."""
        logs = self.plan.logs
        return {} if logs.gradients is None else logs.gradients.last()

    def save_to_preset(
        self, folder: str | os.PathLike[str], card: Mapping[str, str] | None = None
    ) -> None:
        """Save the network as a preset, which `mtl_tf.from_preset` loads.

        Args:
            folder: of the preset; created if missing. `model.keras` and `MODEL_CARD.md` in it are
                replaced.
            card: further sections of the model card, `{heading: Markdown}`, such as `Data`,
                `Licence` and `Metrics`.

        Raises:
            ValueError: if the network is not functional or a task cannot be stored; nothing is
                written then.
        """
        save_preset(self, folder, card or {})

    # === Epochs ===

    def fit(
        self,
        x: tf.data.Dataset | Iterable[Any] | None = None,
        y: "Mapping[str, TensorLike] | None" = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tf.data.Dataset | Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, and set the epoch of a data set of `mtl_tf.data`.

        Order and augmentation of an epoch depend only on its number, so a resumed run sees the same
        batches as an uninterrupted one.

        Args:
            x: a data set of batches, or the images.
            y: `{task: targets}` where `x` holds images.
            batch_size: as in `keras.Model.fit`.
            epochs: as in `keras.Model.fit`.
            verbose: as in `keras.Model.fit`.
            callbacks: a Keras callback or a list of them.
            validation_split: as in `keras.Model.fit`.
            validation_data: a data set of batches, or a triple of arrays.
            **kwargs: the other arguments of `keras.Model.fit`.

        Returns:
            Keras' `History`.

        Raises:
            ValueError: before the first step for batches that do not fit the tasks, later for
                values that cannot be: labels outside the classes, depth in millimetres.
            DataError: for a file of a data set of `mtl_tf.data` that cannot be read.
        """
        self._assert_compile_called("fit")
        self._check_arrays(y, kwargs.get("sample_weight"))
        if isinstance(x, tf.data.Dataset | types.GeneratorType):
            kwargs.setdefault("shuffle", False)
        with self.distribute_strategy.scope():
            if self.network.trainable_variables and not self.optimizer.built:
                # Variables made by the first step would make it trace twice.
                self.optimizer.build(self.trainable_variables)
        callbacks = as_list(callbacks)
        warn_of_idle_training(self.plan, self.network, callbacks)
        announce = AnnounceEpoch(getattr(x, "set_epoch", None))  # after callbacks that skip steps
        average = self.plan.average
        validate = ValidateAverage(average)
        try:
            with as_python_errors():
                history = super().fit(
                    without_autotuning(x),
                    y,
                    batch_size,
                    epochs,
                    verbose,
                    [EndOfEpoch(), validate, *callbacks, announce],
                    validation_split,
                    without_autotuning(validation_data),
                    **kwargs,
                )
        finally:
            self._steps_to_skip = 0  # some are left if it was stopped among them
            validate.close()
        if average is not None:
            average.apply()
        return history

    def evaluate(
        self, x: tf.data.Dataset | Iterable[Any] | None = None, *args: Any, **kwargs: Any
    ) -> dict[str, float] | list[float]:
        """Return losses and metrics as `keras.Model.evaluate`, at the size of the targets in `x`.

        For the benchmark protocol of the survey, image by image at the original size of the
        targets, use `mtl_tf.evaluation.evaluate`.

        Args:
            x: a data set of batches, or the images.
            *args: as in `keras.Model.evaluate`.
            **kwargs: as in `keras.Model.evaluate`.

        Raises:
            ValueError: for batches that do not fit the tasks, and values that cannot be.
        """
        self._check_arrays(kwargs.get("y", args[0] if args else None), kwargs.get("sample_weight"))
        with as_python_errors():
            return super().evaluate(without_autotuning(x), *args, **kwargs)

    def _check_arrays(self, targets: object, masks: object) -> None:
        """`ValueError` if arrays given beside the images lack a task: Keras' would not name it."""
        for kind, given in (("targets", targets), ("weights", masks)):
            for task in self.tasks if isinstance(given, Mapping) else ():
                entry(given, task.name, kind)

    def predict(
        self, x: tf.data.Dataset | Iterable[Any], *args: Any, **kwargs: Any
    ) -> dict[str, np.ndarray]:
        """Predict as `keras.Model.predict` does: `{task: raw predictions}`.

        Args:
            x: a data set of batches, or the images.
            *args: as in `keras.Model.predict`.
            **kwargs: as in `keras.Model.predict`.
        """
        with as_python_errors():
            return super().predict(without_autotuning(x), *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> dict[str, float] | list[float]:
        """Train on one batch as `keras.Model.train_on_batch` does.

        Args:
            *args: as in `keras.Model.train_on_batch`.
            **kwargs: as in `keras.Model.train_on_batch`.
        """
        with as_python_errors():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> dict[str, float] | list[float]:
        """Evaluate one batch as `keras.Model.test_on_batch` does.

        Args:
            *args: as in `keras.Model.test_on_batch`.
            **kwargs: as in `keras.Model.test_on_batch`.
        """
        with as_python_errors():
            return super().test_on_batch(*args, **kwargs)


def _made(losses: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return `{task: loss}` with an object for each class of losses, as `mtl_tf.Task` has them."""
    if not isinstance(losses, Mapping):
        return losses
    return {
        task: loss() if isinstance(loss, type) and issubclass(loss, keras.losses.Loss) else loss
        for task, loss in losses.items()
    }
