"""FairGrad (Ban and Ji, ICML 2024): alpha-fair gains of all tasks."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def fairgrad(gramian: tf.Tensor, alpha: float = 1.0) -> BalanceReport:
    """`w > 0` with `G w = w^(-1 / alpha)`; Gramian `[K, K]`. Without a solution, MGDA's weights."""
    return balance_report(gramian, "fairgrad", alpha=alpha)


@keras.saving.register_keras_serializable(package="mtl_tf")
class FairGrad(Weighting):
    """Weights by which the gains of all tasks are alpha-fair.

    `FairGrad()(gramian [K, K])` -> weights `[K]`. `alpha` 1 is Nash-MTL; the larger, the more the
    worst task counts. Where some mean of the gradients is zero there is no solution: MGDA's weights
    then, counted as a fallback.

    Source: Ban, Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, Eq. 5.

    Args:
        alpha: fairness, 0.05 to 100.
        name: name of the layer.

    Raises:
        ValueError: if `alpha` is out of range.
    """

    def __init__(self, alpha: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        if not 0.05 <= alpha <= 100:
            raise ValueError(f"alpha must be from 0.05 to 100. Received: {alpha}")
        self.alpha = alpha

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The fair weights."""
        return fairgrad(tasks.gramian, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"alpha": self.alpha, "name": self.name}
