"""CAGrad (Liu et al., NeurIPS 2021): the best worst task near the mean gradient."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def cagrad(gramian: tf.Tensor, c: float = 0.4) -> BalanceReport:
    """`max_d min_i <g_i, d>` with `|d - g_0| <= c |g_0|`, `g_0` the mean; Gramian `[K, K]`."""
    return balance_report(gramian, "cagrad", c=c)


@keras.saving.register_keras_serializable(package="mtl_tf")
class CAGrad(Weighting):
    """Maximises the least gain of all tasks, not farther from the mean gradient than `c` of it.

    `CAGrad()(gramian [K, K])` -> weights `[K]`. 0 is the mean gradient, large `c` MGDA's direction.

    Source: Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021,
    Eq. 4; without rescaling by `1 / (1 + c^2)`.

    Args:
        c: radius, at least 0, in lengths of the mean gradient.
        name: name of the layer.

    Raises:
        ValueError: if `c` is negative or above 1e6.
    """

    def __init__(self, c: float = 0.4, name: str | None = None) -> None:
        super().__init__(name=name)
        if not 0 <= c <= 1e6:
            raise ValueError(f"c must be from 0 to 1e6. Received: {c}")
        self.c = c

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The conflict-averse weights."""
        return cagrad(tasks.gramian, self.c)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"c": self.c, "name": self.name}
