"""Adam for the few numbers a method learns beside the network, in its own variables.

A Keras optimizer would all-reduce them over replicas, on each of which they are equal already.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from mtl_tf.balancing.masked import assign_where

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba 2015) for one variable `[K]`, with coupled weight decay.

    Args:
        add_state: makes a variable from `(name, shape)`.
        variable: what is learned, `[K]`.
        learning_rate: step length.
        weight_decay: added to the gradient, times the variable.
    """

    def __init__(
        self,
        add_state: Callable[[str, Sequence[int]], keras.Variable],
        variable: keras.Variable,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        self.variable = variable
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.momentum = add_state("adam_momentum", variable.shape)
        self.velocity = add_state("adam_velocity", variable.shape)
        self.step = add_state("adam_step", variable.shape)

    def apply(self, gradient: tf.Tensor, mask: tf.Tensor) -> None:
        """One step down `gradient [K]` float64, of the elements where `mask [K]` alone."""
        value = tf.convert_to_tensor(self.variable)
        gradient += self.weight_decay * value
        step = tf.convert_to_tensor(self.step) + 1
        momentum = _BETA_1 * tf.convert_to_tensor(self.momentum) + (1 - _BETA_1) * gradient
        velocity = _BETA_2 * tf.convert_to_tensor(self.velocity) + (1 - _BETA_2) * gradient**2
        corrected = velocity / (1 - _BETA_2**step)
        change = momentum / (1 - _BETA_1**step) / (tf.sqrt(corrected) + _EPSILON)
        assign_where(self.variable, value - self.learning_rate * change, mask)
        assign_where(self.momentum, momentum, mask)
        assign_where(self.velocity, velocity, mask)
        assign_where(self.step, step, mask)
