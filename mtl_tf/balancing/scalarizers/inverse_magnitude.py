"""Weights that make the first losses equal: the survey's first advice as a method."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import assign_where, masked_mean
from mtl_tf.balancing.scalarizers.fixed_weights import fixed_weights


def inverse_magnitude_weights(initial_losses: tf.Tensor, is_known: tf.Tensor) -> tf.Tensor:
    """`mean(l) / l_i` for the first losses `l [K]`: weighted, all are equal, their sum the same."""
    mean = masked_mean(initial_losses, is_known)
    return tf.where(
        is_known & (initial_losses > 0), tf.math.divide_no_nan(mean, initial_losses), 1.0
    )


@keras.saving.register_keras_serializable(package="mtl_tf")
class InverseMagnitude(Scalarizer):
    """Sum of the losses with fixed weights that make the first losses of all tasks equal.

    `InverseMagnitude()(losses [K])` -> scalar. A task seen later for the first time joins then. A
    first loss of 0 gets the weight 1.

    Examples:
        >>> round(float(mtl.balancing.InverseMagnitude()(tf.constant([1.0, 3.0]))), 3)
        4.0

    Source: Vandenhende et al., TPAMI 2021, section 3.1: a loss a hundred times larger needs a
    weight a hundred times smaller, before anything else is tried.

    Args:
        steps: number of steps over which the first losses are averaged.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `steps` is not at least 1.
    """

    def __init__(self, steps: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if steps < 1:
            raise ValueError(f"steps must be at least 1. Received: {steps}")
        self.steps = steps

    def make_state(self, num_tasks: int) -> None:
        """Create the mean of the first losses and the number of steps in it."""
        self.initial_losses = self.add_state("initial_losses", (num_tasks,))
        self.counts = self.add_state("counts", (num_tasks,))

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the weighted sum of the present tasks' losses."""
        current = tf.stop_gradient(tf.cast(losses, tf.float64))
        first, counts = tf.convert_to_tensor(self.initial_losses), tf.convert_to_tensor(self.counts)
        is_new = is_present & (counts < self.steps)
        first = tf.where(is_new, first + (current - first) / (counts + 1), first)
        if training:
            assign_where(self.initial_losses, first, is_new)
            assign_where(self.counts, counts + 1, is_new)
        weights = inverse_magnitude_weights(first, is_present | (counts > 0))
        return fixed_weights(losses, tf.cast(weights, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "steps": self.steps}
