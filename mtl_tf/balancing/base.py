"""The kinds of balancing methods, one abstract class each: the class says what a step costs."""

import abc
from typing import Any

import keras


class Balancing(keras.layers.Layer, abc.ABC):
    """Base of all balancing methods: a Keras layer, so that its state is saved with the trainer.

    Args:
        name: name of the layer.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32", autocast=False)


class Scalarizer(Balancing, abc.ABC):
    """Turns the losses of K tasks into the scalar whose gradient updates the network.

    One backward pass a step. The gradient of the scalar with respect to the losses is the weight of
    each task; trainable weights of the scalarizer are updated with the network.
    """

    @abc.abstractmethod
    def call(self, losses: Any, is_present: Any | None = None) -> Any:
        """Combines the losses.

        Args:
            losses: `[K]`, in the order of the tasks.
            is_present: bool `[K]`, false for tasks without a label in this batch: they take no part
                in the result. All are present without it.

        Returns:
            Scalar in the dtype of `losses`.
        """
