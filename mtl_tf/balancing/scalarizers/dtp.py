"""Dynamic task prioritisation (Guo et al., ECCV 2018, section 3.2; survey, section 3.1)."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import assign_where
from mtl_tf.balancing.scalarizers.fixed_weights import fixed_weights

_EPSILON = 1e-6


def dtp_weights(kpis: tf.Tensor, gamma: float) -> tf.Tensor:
    """`-(1 - k) ** gamma * log(k)`: the focal weight of key performance indicators `k [K]`."""
    kpis = tf.clip_by_value(kpis, _EPSILON, 1.0 - _EPSILON)
    return -((1.0 - kpis) ** gamma) * tf.math.log(kpis)


def likelihood(losses: tf.Tensor) -> tf.Tensor:
    """`exp(-losses)`, in (0, 1]: for cross entropy, the mean probability of the true class."""
    return tf.exp(-tf.maximum(losses, 0.0))


@keras.saving.register_keras_serializable(package="mtl_tf")
class DTP(Scalarizer):
    """Sum of the losses with larger weights for tasks whose performance is still low.

    `DTP()(losses [K])` -> scalar. The paper asks for a key performance indicator in [0, 1] per task
    (accuracy, precision) and leaves open which one a regression has. By default it is `exp(-loss)`,
    which is defined for every task: scale the losses (`loss_weights`) so that a loss of 1 is bad.
    A task whose indicator reaches 1 gets the weight 0.

    Examples:
        >>> round(float(mtl.balancing.DTP()(tf.constant([1.0, 3.0]))), 3)
        9.184

    Source: Guo et al., "Dynamic Task Prioritization for Multitask Learning", ECCV 2018, Eq. 3.

    Args:
        gamma: focusing exponent, the same for all tasks.
        smoothing: share of the newest indicator in the running mean, above 0 and up to 1.
        kpi: function from losses `[K]` to indicators `[K]` in [0, 1].
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `gamma` is negative or `smoothing` out of range.
    """

    def __init__(
        self,
        gamma: float = 1.0,
        smoothing: float = 0.1,
        kpi: Callable[[tf.Tensor], tf.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not gamma >= 0:
            raise ValueError(f"gamma must not be negative. Received: {gamma}")
        if not 0 < smoothing <= 1:
            raise ValueError(f"smoothing must be above 0 and up to 1. Received: {smoothing}")
        self.gamma = gamma
        self.smoothing = smoothing
        self.kpi = kpi or likelihood

    def make_state(self, num_tasks: int) -> None:
        """Create the smoothed indicators; negative until the first one is known."""
        self.kpis = self.add_state("kpis", (num_tasks,), initial=-1.0)

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the weighted sum of the present tasks' losses."""
        newest = tf.cast(self.kpi(tf.stop_gradient(losses)), tf.float64)
        old = tf.convert_to_tensor(self.kpis)
        kpis = tf.where(old < 0, newest, old + self.smoothing * (newest - old))
        if training:
            assign_where(self.kpis, kpis, is_present)
        weights = tf.stop_gradient(dtp_weights(kpis, self.gamma))
        return fixed_weights(losses, tf.cast(weights, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration; a function of one's own must be registered with Keras."""
        kpi = None if self.kpi is likelihood else keras.saving.serialize_keras_object(self.kpi)
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "smoothing": self.smoothing,
            "kpi": kpi,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DTP":
        """Create the method from `get_config`."""
        config = dict(config)
        if isinstance(config["kpi"], dict):
            config["kpi"] = keras.saving.deserialize_keras_object(config["kpi"])
        return super().from_config(config)
