"""Dynamic weight averaging (Liu, Johns, Davison, CVPR 2019, Eq. 7; survey, section 3.1)."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import assign_where, count, masked_softmax
from mtl_tf.balancing.scalarizers.epoch_means import EpochMeans
from mtl_tf.balancing.scalarizers.fixed_weights import fixed_weights


def dwa_weights(
    last: tf.Tensor, before: tf.Tensor, temperature: float, is_present: tf.Tensor
) -> tf.Tensor:
    """`K softmax(r / temperature)` over present tasks, `r = last / before`; all `[K]`.

    `last` and `before` are the mean losses of the last two epochs; 0 in `before` means not known
    yet, and `r = 1`.
    """
    ratio = tf.where(before > 0, tf.math.divide_no_nan(last, before), tf.ones_like(last))
    return count(is_present, last.dtype) * masked_softmax(ratio / temperature, is_present)


@keras.saving.register_keras_serializable(package="mtl_tf")
class DWA(Scalarizer):
    """Sum of the losses with larger weights for tasks whose loss falls more slowly.

    `DWA()(losses [K])` -> scalar. The weights follow the ratio of the mean losses of the last two
    epochs and add up to K; they are 1 in the first two epochs. They do not even out losses of
    different magnitude: combine with `loss_weights`.

    Examples:
        >>> round(float(mtl.balancing.DWA()(tf.constant([1.0, 3.0]))), 3)
        4.0

    Source: Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, Eq. 7.

    Args:
        temperature: softness of the weights; large makes them equal.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `temperature` is not positive.
    """

    def __init__(self, temperature: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive. Received: {temperature}")
        self.temperature = temperature

    def make_state(self, num_tasks: int) -> None:
        """Create the running mean, and the means of the last two epochs."""
        self.means = EpochMeans(self.add_state, num_tasks)
        self.last = self.add_state("last", (num_tasks,))
        self.before = self.add_state("before", (num_tasks,))

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the weighted sum of the present tasks' losses."""
        if training:
            self.means.add(losses, is_present)
        last, before = tf.convert_to_tensor(self.last), tf.convert_to_tensor(self.before)
        weights = dwa_weights(last, before, self.temperature, is_present)
        return fixed_weights(losses, tf.cast(weights, losses.dtype), is_present)

    def end_epoch(self) -> None:
        """Take the means of the epoch; a task without a label in it keeps its own."""
        means, is_known = self.means.take()
        assign_where(self.before, tf.convert_to_tensor(self.last), is_known)
        assign_where(self.last, means, is_known)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "temperature": self.temperature}
