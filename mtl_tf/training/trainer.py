"""The trainer: one custom training step for every architecture and balancing method."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import balancing as balancing_module
from mtl_tf.balancing.base import Balancing
from mtl_tf.tasks import Task, as_tasks
from mtl_tf.training.logs import TaskLogs
from mtl_tf.training.task_losses import as_loss, outputs_of, task_losses


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """What `compile` chose. Keras does not track it, so that compiling again replaces all of it."""

    balancing: Balancing
    loss_factors: tuple[float, ...]
    loss_functions: dict[str, Any]
    logs: TaskLogs


@keras.saving.register_keras_serializable(package="mtl_tf")
class MultiTaskTrainer(keras.Model):
    """Trains a multi-task model: `compile`, `fit`, `evaluate` and `predict` as in Keras.

        trainer = mtl.MultiTaskTrainer(model, tasks=data.tasks)
        trainer.compile(optimizer=keras.optimizers.Adam(1e-4), balancing="uncertainty")
        trainer.fit(data.train(), validation_data=data.val(), epochs=100)
        trainer.model.save("model.keras")

    A batch is `(image [B, H, W, 3], {task: target [B, H, W, C]}, {task: validity mask [B, H, W]})`.
    A task without a valid pixel in a batch adds no gradient to that step. The logs hold `loss`
    (what is minimised) and for each task `<task>_loss`, `<task>_weight` (the derivative of `loss`
    with respect to it, in training) and its metrics.

    Source: the frame of Vandenhende et al., TPAMI 2021, section 3.

    Args:
        model: functional model with outputs `{task: [B, H, W, C]}`, and optionally
            `{task/...: [B, h, w, C]}` for deeply supervised predictions, whose losses are added.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects; each needs an output.
        name: name of the trainer.

    Raises:
        ValueError: if the model lacks an output for a task or has another number of channels.
    """

    def __init__(
        self, model: keras.Model, tasks: Any, name: str | None = "multi_task_trainer"
    ) -> None:
        super().__init__(name=name)
        self.model = model
        self.tasks: tuple[Task, ...] = as_tasks(tasks)
        for task in self.tasks:
            _check_outputs(task, model.output)
        self._compiled: Any = None  # a _Compiled, once `compile` has been called
        self.built = True  # the wrapped model is; `call` makes nothing

    # === Compiling ===

    def compile(
        self,
        optimizer: Any = "adam",
        balancing: "str | Balancing | None" = None,
        loss: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: a Keras optimizer or its name.
            balancing: a name from `mtl_tf.balancing.TABLE`, an object, or `None` for equal weights.
            loss: `{task: loss}` for tasks that are not to use their own.
            metrics: `{task: metric or list of metrics}` for tasks that are not to use their own.
            loss_weights: `{task: factor}` of the losses before balancing; 1 where missing. The
                losses in the logs are without it.
            **kwargs: the other arguments of `keras.Model.compile`.

        Raises:
            ValueError: for an unknown method or task.
        """
        for argument, value in (
            ("loss", loss),
            ("metrics", metrics),
            ("loss_weights", loss_weights),
        ):
            self._check_tasks(argument, value)
        super().compile(optimizer=optimizer, **kwargs)
        self._compiled = _Compiled(
            balancing=self._built(balancing_module.get(balancing)),
            loss_factors=tuple(
                float((loss_weights or {}).get(task.name, 1.0)) for task in self.tasks
            ),
            loss_functions={
                task.name: as_loss((loss or {}).get(task.name) or task.loss())
                for task in self.tasks
            },
            logs=TaskLogs(self.tasks, metrics or {}, self.model.output),
        )

    def _built(self, balancing: Balancing) -> Balancing:
        if not balancing.built:
            balancing.build((len(self.tasks),))
            balancing.built = True
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if balancing.trainable_variables and not optimizer.built:
            optimizer.exclude_from_weight_decay(var_list=balancing.trainable_variables)
        return balancing

    @property
    def balancing(self) -> Balancing | None:
        """The balancing method given to `compile`, `None` before."""
        return self._compiled.balancing if self._compiled else None

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of the model and of the balancing method."""
        own = [*self.model.variables]
        return own if self.balancing is None else [*own, *self.balancing.variables]

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights of the model and of the balancing method."""
        own = [*self.model.weights]
        return own if self.balancing is None else [*own, *self.balancing.weights]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All metrics, reset by Keras at the start of each epoch."""
        return self._compiled.logs.all() if self._compiled else []

    def _check_tasks(self, argument: str, value: Any) -> None:
        names = [task.name for task in self.tasks]
        if value is not None and (not isinstance(value, Mapping) or set(value) - set(names)):
            raise ValueError(
                f"{argument} must be a dictionary by task ({names}). Received: {value!r}"
            )

    # === Steps ===

    def call(self, image: Any, training: bool | None = None) -> dict[str, Any]:
        """The wrapped model's outputs."""
        return self.model(image, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update: losses of all tasks, balancing, gradients, optimizer."""
        compiled = self._compiled
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            outputs = self.model(image, training=True)
            losses, is_present = self._task_losses(outputs, targets, masks)
            with tf.GradientTape() as balancing_tape:
                balancing_tape.watch(losses)
                balanced = compiled.balancing(losses * compiled.loss_factors, is_present)
            total = tf.add_n([balanced, *self.model.losses])
            scaled = self.optimizer.scale_loss(total)
        weights = balancing_tape.gradient(balanced, losses)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        compiled.logs.update(total, losses, is_present, weights)
        compiled.logs.update_metrics(outputs, targets, masks)
        return compiled.logs.results(with_weights=True)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Losses and metrics of a batch, without an update."""
        compiled = self._compiled
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(data)
        outputs = self.model(image, training=False)
        losses, is_present = self._task_losses(outputs, targets, masks)
        total = tf.add_n(
            [compiled.balancing(losses * compiled.loss_factors, is_present), *self.model.losses]
        )
        compiled.logs.update(total, losses, is_present)
        compiled.logs.update_metrics(outputs, targets, masks)
        return compiled.logs.results(with_weights=False)

    def _task_losses(self, outputs: Any, targets: Any, masks: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return task_losses(self.tasks, self._compiled.loss_functions, outputs, targets, masks)

    def get_metrics_result(self) -> dict[str, Any]:
        """The logs of the epoch so far."""
        return self._compiled.logs.results(with_weights=True)

    # === Epochs and saving ===

    def fit(self, x: Any = None, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.fit`; tells a data set of `mtl_tf.data` which epoch begins.

        So the order and augmentation of an epoch depend on its number alone, and a resumed run sees
        what the uninterrupted one would have seen.

        Args:
            x: a data set of batches, or the images.
            *args: as in `keras.Model.fit`.
            callbacks: list of Keras callbacks.
            **kwargs: as in `keras.Model.fit`.

        Returns:
            Keras' `History`.
        """
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)
        set_epoch = getattr(x, "set_epoch", None)
        if set_epoch is not None:
            on_epoch = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: set_epoch(epoch)
            )
            callbacks = [on_epoch, *(callbacks or [])]
        return super().fit(x, *args, callbacks=callbacks, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration: the wrapped model and `{task: channels}`."""
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "tasks": {task.name: task.channels for task in self.tasks},
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "MultiTaskTrainer":
        """Builds the trainer again from `get_config`; compile it before training."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(model, config["tasks"], name=config["name"])


def _check_outputs(task: Task, outputs: Any) -> None:
    if not isinstance(outputs, Mapping):
        raise ValueError(
            f"The model must have outputs {{task: tensor}}. Received: {type(outputs).__name__}"
        )
    names = outputs_of(task.name, outputs)
    if not names:
        raise ValueError(
            f"The model has no output for task {task.name!r}. Its outputs: {sorted(outputs)}"
        )
    for name in names:
        if outputs[name].shape[-1] != task.channels:
            raise ValueError(
                f"Output {name!r} has {outputs[name].shape[-1]} channels, but task {task.name!r} "
                f"has {task.channels}: give the same tasks to the architecture and to the trainer"
            )
