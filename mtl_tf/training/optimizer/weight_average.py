"""Exponential moving average of the weights of a network."""

import contextlib
import types
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


class WeightAverage(keras.layers.Layer):
    """Exponential moving average of all floating-point weights of a network.

    `a ← m a + (1 - m) w` after every step, where `m` is the momentum, in step t at most
    `(1 + t) / (10 + t)`, so that the first weights are soon forgotten. Unlike that of Keras'
    optimizers it has the statistics of batch normalisation and the frozen weights too, and every
    weight keeps its own average if some have no gradient in a step.

    Source: Polyak & Juditsky, SIAM J. Control and Optimization 1992; the bound of the momentum is
    that of `tf.train.ExponentialMovingAverage`.

    Args:
        momentum: in (0, 1).
        variables: of the network.

    Raises:
        ValueError: for another momentum.
    """

    def __init__(self, momentum: float, variables: Sequence[keras.Variable]) -> None:
        super().__init__(name="weight_average", dtype="float32", autocast=False)
        if not 0.0 < momentum < 1.0:
            raise ValueError(f"ema_momentum must be between 0 and 1. Received: {momentum!r}")
        self.momentum = momentum
        averaged = [v for v in variables if tf.as_dtype(v.dtype).is_floating]
        averages = [
            self.add_weight(
                name=f"average_{i}",
                shape=variable.shape,
                dtype=variable.dtype,
                initializer="zeros",
                trainable=False,
            )
            for i, variable in enumerate(averaged)
        ]
        pairs = zip(averages, averaged, strict=True)
        # Not a list: Keras would track the network's variables in it as this layer's own.
        self._pairs = types.MappingProxyType(dict(enumerate(pairs)))
        self.steps = self.add_weight(
            name="steps", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    def update(self) -> None:
        """Take the weights after a step into the averages."""
        steps = tf.cast(self.steps.value, tf.float32)
        momentum = tf.minimum(self.momentum, (1.0 + steps) / (10.0 + steps))
        momentum = tf.where(steps > 0, momentum, 0.0)
        for average, variable in self._pairs.values():
            # In this form the average of a weight that does not change is that weight, exactly.
            change = tf.convert_to_tensor(variable) - tf.convert_to_tensor(average)
            average.assign_add(tf.cast(1 - momentum, average.dtype) * change)
        self.steps.assign_add(1)

    def swap(self) -> None:
        """Exchange the weights of the network and their averages."""
        for average, variable in self._pairs.values():
            weights = variable.numpy()
            variable.assign(average)
            average.assign(weights)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Give the network its averages in a `with` block; nothing before the first step."""
        is_used = bool(self.steps.numpy())
        if is_used:
            self.swap()
        try:
            yield
        finally:
            if is_used:
                self.swap()

    def apply(self) -> None:
        """Assign the averages to the network; before the first step nothing happens."""
        if self.steps.numpy():
            for average, variable in self._pairs.values():
                variable.assign(average)


class ValidateAverage(keras.callbacks.Callback):
    """Lets the validation of `fit` see the averages.

    Args:
        average: of the weights; `None` for none.
    """

    def __init__(self, average: WeightAverage | None) -> None:
        super().__init__()
        self._average = average
        self._swapped = contextlib.ExitStack()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Give the network its averages."""
        if self._average is not None:
            self._swapped.enter_context(self._average.swapped())

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Give the network its weights back."""
        self.close()

    def close(self) -> None:
        """Give the network its weights back, also after a validation that was interrupted."""
        self._swapped.close()


def averaged_weights(trainer: keras.Model) -> contextlib.AbstractContextManager[None]:
    """Give the network of a trainer its averages in a `with` block; without one, do nothing."""
    average: WeightAverage | None = getattr(trainer, "weight_average", None)
    return contextlib.nullcontext() if average is None else average.swapped()
