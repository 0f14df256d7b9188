"""FAMO (Liu et al., NeurIPS 2023): equal rates of improvement from losses alone."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.adam import Adam
from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_softmax, masked_sum

_EPSILON = 1e-8


def famo(
    losses: tf.Tensor, logits: tf.Tensor, min_losses: tf.Tensor | float, is_present: tf.Tensor
) -> tf.Tensor:
    """`sum_i z_i log(l_i - m_i) / sum_i z_i / (l_i - m_i)`, `z = softmax(logits)`; all `[K]`.

    The denominator is constant for the gradient. Sums are over present tasks.
    """
    weights = masked_softmax(logits, is_present)
    excess = _excess(losses, min_losses)
    total = masked_sum(weights / excess, is_present)
    terms = masked_sum(weights * tf.math.log(excess), is_present)
    return tf.math.divide_no_nan(terms, tf.stop_gradient(total))


def famo_gradient(
    before: tf.Tensor,
    after: tf.Tensor,
    logits: tf.Tensor,
    min_losses: tf.Tensor | float,
    is_present: tf.Tensor,
) -> tf.Tensor:
    """Return the gradient `[K]` for the logits: `J_softmax' (log l_before - log l_after)`."""
    weights = masked_softmax(logits, is_present)
    decrease = tf.math.log(_excess(before, min_losses)) - tf.math.log(_excess(after, min_losses))
    decrease = tf.where(is_present, decrease, tf.zeros_like(decrease))
    return weights * (decrease - masked_sum(weights * decrease, is_present))


def _excess(losses: tf.Tensor, min_losses: tf.Tensor | float) -> tf.Tensor:
    return tf.maximum(losses - min_losses, 0.0) + _EPSILON


@keras.saving.register_keras_serializable(package="mtl_tf")
class FAMO(Scalarizer):
    """Learned weights with which the losses of all tasks decrease at equal relative rates.

    `FAMO()(losses [K])` -> scalar. After each update the trainer evaluates the losses of the same
    batch again, one more forward pass, and the logits of the weights follow the observed decreases.

    Examples:
        >>> round(float(mtl.balancing.FAMO()(tf.constant([1.0, 3.0]))), 3)
        0.824

    Source: Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, Algorithm 1.

    Args:
        learning_rate: of the logits, learned with Adam.
        weight_decay: of the logits.
        min_losses: lower bound of every task's loss.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `learning_rate` or `weight_decay` is negative.
    """

    sees_losses_after_update = True

    def __init__(
        self,
        learning_rate: float = 0.025,
        weight_decay: float = 1e-3,
        min_losses: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for key, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{key} must not be negative. Received: {value}")
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.min_losses = min_losses

    def make_state(self, num_tasks: int) -> None:
        """Create the logits and Adam's state."""
        self.logits = self.add_state("logits", (num_tasks,))
        self.adam = Adam(self.add_state, self.logits, self.learning_rate, self.weight_decay)

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the weighted logarithms of the present tasks' losses."""
        logits = tf.cast(tf.convert_to_tensor(self.logits), losses.dtype)
        return famo(losses, logits, self.min_losses, is_present)

    def after_update(self, before: tf.Tensor, after: tf.Tensor, is_present: tf.Tensor) -> None:
        """Move the logits of present tasks towards those whose loss decreased slowest."""
        logits = tf.convert_to_tensor(self.logits)
        before, after = tf.cast(before, tf.float64), tf.cast(after, tf.float64)
        is_present &= tf.math.is_finite(before) & tf.math.is_finite(after)
        gradient = famo_gradient(before, after, logits, self.min_losses, is_present)
        self.adam.apply(gradient, is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "min_losses": self.min_losses,
        }
