"""Saving and resuming of the trainer: its configuration, and steps that can be skipped."""

import abc
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.layers.learning_rate_multipliers import (
    learning_rate_multipliers,
    set_learning_rate_multipliers,
)
from mtl_tf.task_config import known_classes, serialized, task_config, tasks_from_config
from mtl_tf.tasks import Task
from mtl_tf.training.optimizer.weight_decay import excluded_names


def random_states(model: keras.Model) -> list[keras.Variable]:
    """Return the states of random generators, such as dropout's: variables that are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


class ResumableTrainer(keras.Model, abc.ABC):
    """Base of the trainer: `keras.saving.load_model` gives it back compiled, and `fit` continues.

    Attributes:
        network: the network that is trained.
        tasks: its tasks.
    """

    network: keras.Model
    tasks: tuple[Task, ...]
    _arguments: dict[str, Any]  # of `compile`
    _steps_to_skip = 0

    # === Skipping ===

    def skip_steps(self, count: int) -> None:
        """Let the next steps of `fit` take their batches without training on them.

        This resumes a run in the middle of an epoch: see `mtl_tf.training.Backup`.

        Args:
            count: number of steps.
        """
        self._steps_to_skip = count

    @property
    def steps_to_skip(self) -> int:
        """Number of coming steps that take their batch without training on it."""
        return self._steps_to_skip

    def make_train_function(
        self, force: bool = False
    ) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
        """Make the train function as `keras.Model` does, with steps that can be skipped.

        Args:
            force: make it again.
        """
        super().make_train_function(force)
        function: Any = self.__dict__["train_function"]
        if not hasattr(function, "of_trainer"):

            def skip_or_train(iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
                if not self._steps_to_skip:
                    return function(iterator)
                for _ in range(min(self._steps_to_skip, self.steps_per_execution)):
                    next(iterator)
                    self._steps_to_skip -= 1
                return self.get_metrics_result()

            skip_or_train.of_trainer = True  # type: ignore[attr-defined]
            self.train_function: Any = skip_or_train
        return self.train_function

    # === Saving ===

    def get_config(self) -> dict[str, Any]:
        """Keras configuration: the wrapped model and the tasks."""
        return {
            "model": keras.saving.serialize_keras_object(self.network),
            "tasks": [task_config(task) for task in self.tasks],
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ResumableTrainer":
        """Build the trainer again from `get_config`."""
        known = known_classes(config) | (custom_objects or {})
        network = keras.saving.deserialize_keras_object(config["model"], known)
        return cls(network, tasks_from_config(config["tasks"]), name=config["name"])

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile`, and learning-rate multipliers of single variables."""
        if not self._arguments:
            return {}
        return {
            **serialized(self._arguments),
            "optimizer": serialized(self.optimizer),  # with the scaling of losses it may have got
            "learning_rate_multipliers": learning_rate_multipliers(self.network.variables),
            "names_without_weight_decay": excluded_names(self.optimizer),
            "optimizer_has_state": self.optimizer.built,
        }

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Save the states of random generators, such as dropout's, which Keras leaves out."""
        for i, state in enumerate(random_states(self)):
            store[f"random_{i}"] = state

    def load_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Load the states of random generators, if the file has them."""
        for i, state in enumerate(random_states(self)):
            if f"random_{i}" in store.keys():  # noqa: SIM118  # it is no dictionary
                state.assign(store[f"random_{i}"])

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile from `get_compile_config`, and build the optimizer for its state."""
        if not config:
            return
        arguments = keras.saving.deserialize_keras_object(config, known_classes(config))
        multipliers = arguments.pop("learning_rate_multipliers", {})
        has_state = arguments.pop("optimizer_has_state", False)
        excluded = arguments.pop("names_without_weight_decay", None)
        if excluded is not None:
            inner = getattr(arguments["optimizer"], "inner_optimizer", arguments["optimizer"])
            inner.exclude_from_weight_decay(var_names=[excluded])
        set_learning_rate_multipliers(self.network.variables, multipliers)
        self.compile(**arguments)
        if has_state and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
