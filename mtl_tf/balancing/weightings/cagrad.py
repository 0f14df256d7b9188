"""CAGrad (Liu et al., NeurIPS 2021): the best worst task near the mean gradient."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def cagrad(gramian: tf.Tensor, c: float = 0.4) -> BalanceReport:
    """`max_d min_i <g_i, d>` with `|d - g_0| <= c |g_0|`, `g_0` the mean; Gramian `[K, K]`."""
    return balance_report(gramian, "cagrad", c=c)


@keras.saving.register_keras_serializable(package="mtl_tf")
class CAGrad(Weighting):
    """Direction with the maximum worst-case gain within a ball of radius `c |g_0|` around the mean.

    `CAGrad()(gramian [K, K])` -> weights `[K]`. 0 is the mean gradient, large `c` MGDA's direction.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.CAGrad()(gramian)]
        [0.9, 0.5]

    Source: Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021,
    Eq. 4; without rescaling by `1 / (1 + c^2)`.

    Args:
        c: radius, at least 0, in lengths of the mean gradient.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `c` is negative or above 1e6.
    """

    def __init__(self, c: float = 0.4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= c <= 1e6:
            raise ValueError(f"c must be from 0 to 1e6. Received: {c}")
        self.c = c

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the conflict-averse weights."""
        return cagrad(statistics.gramian, self.c)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "c": self.c}
