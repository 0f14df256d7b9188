"""Dynamic task prioritisation (Guo et al., ECCV 2018, section 3.2; survey, section 3.1)."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import moved
from mtl_tf.balancing.scalarizers.fixed_weights import fixed_weights

_LEAST = 1e-6


def dtp_weights(kpis: Any, gamma: Any) -> Any:
    """`-(1 - k) ** gamma * log(k)`: the focal weight of key performance indicators `k [K]`."""
    kpis = tf.clip_by_value(kpis, _LEAST, 1.0 - _LEAST)
    return -((1.0 - kpis) ** gamma) * tf.math.log(kpis)


def likelihood(losses: tf.Tensor) -> tf.Tensor:
    """`exp(-losses)`, in (0, 1]: for cross entropy, the mean probability of the true class."""
    return tf.exp(-tf.maximum(losses, 0.0))


@keras.saving.register_keras_serializable(package="mtl_tf")
class DTP(Scalarizer):
    """Sum of the losses with larger weights for tasks that are still done badly.

    `DTP()(losses [K])` -> scalar. The paper asks for a key performance indicator in [0, 1] per task
    (accuracy, precision) and leaves open which one a regression has. By default it is `exp(-loss)`,
    which is defined for every task: scale the losses (`loss_weights`) so that a loss of 1 is bad.
    A task whose indicator reaches 1 gets the weight 0.

    Source: Guo et al., "Dynamic Task Prioritization for Multitask Learning", ECCV 2018, Eq. 3.

    Args:
        gamma: focusing exponent, the same for all tasks.
        smoothing: share of the newest indicator in the running mean, above 0 and up to 1.
        kpi: function from losses `[K]` to indicators `[K]` in [0, 1].
        name: name of the layer.

    Raises:
        ValueError: if `gamma` is negative or `smoothing` out of range.
    """

    def __init__(
        self,
        gamma: float = 1.0,
        smoothing: float = 0.1,
        kpi: Callable[[tf.Tensor], tf.Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not gamma >= 0:
            raise ValueError(f"gamma must not be negative. Received: {gamma}")
        if not 0 < smoothing <= 1:
            raise ValueError(f"smoothing must be above 0 and up to 1. Received: {smoothing}")
        self.gamma = gamma
        self.smoothing = smoothing
        self.kpi = kpi or likelihood

    def make_state(self, num_tasks: int) -> None:
        """The smoothed indicators; negative until the first one is known."""
        self.kpis = self.add_state("kpis", (num_tasks,), initial=-1.0)

    def scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """The weighted sum of the present tasks' losses."""
        newest = tf.cast(self.kpi(tf.stop_gradient(losses)), tf.float64)
        old = tf.convert_to_tensor(self.kpis)
        kpis = tf.where(old < 0, newest, old + self.smoothing * (newest - old))
        if training:
            moved(self.kpis, kpis, is_present)
        weights = tf.stop_gradient(dtp_weights(kpis, self.gamma))
        return fixed_weights(losses, tf.cast(weights, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration; a function of one's own must be registered with Keras."""
        kpi = None if self.kpi is likelihood else keras.saving.serialize_keras_object(self.kpi)
        return {
            "gamma": self.gamma, "smoothing": self.smoothing, "kpi": kpi, "name": self.name,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DTP":
        """The method again from `get_config`."""
        config = dict(config)
        if isinstance(config["kpi"], dict):
            config["kpi"] = keras.saving.deserialize_keras_object(config["kpi"])
        return cls(**config)
