"""Fixed weights (Vandenhende et al., TPAMI 2021, section 3.1): hard to beat."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_sum


def fixed_weights(losses: tf.Tensor, weights: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
    """`sum_i weights_i * losses_i` over present tasks; all `[K]`, the result a scalar."""
    return masked_sum(weights * losses, is_present)


@keras.saving.register_keras_serializable(package="mtl_tf")
class FixedWeights(Scalarizer):
    """Weighted sum of the losses.

    `FixedWeights()(losses [K])` -> scalar.

    Examples:
        >>> round(float(mtl.balancing.FixedWeights()(tf.constant([1.0, 3.0]))), 3)
        4.0

    Source: Vandenhende et al., TPAMI 2021, section 3.1.

    Args:
        weights: K positive numbers in the order of the tasks; all 1 without it.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if a weight is negative or not finite, or their number is not K.
    """

    def __init__(self, weights: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if weights is not None and not all(0.0 <= float(w) < float("inf") for w in weights):
            raise ValueError(f"weights must be finite and not negative. Received: {weights}")
        self.weights_of_tasks = None if weights is None else tuple(float(w) for w in weights)

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the weighted sum of the present tasks' losses."""
        weights = self.weights_of_tasks
        if weights is None:
            weights = (1.0,) * losses.shape[0]
        if len(weights) != losses.shape[0]:
            raise ValueError(
                f"FixedWeights has {len(weights)} weights, but there are {losses.shape[0]} tasks"
            )
        return fixed_weights(losses, tf.constant(weights, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "weights": self.weights_of_tasks}
