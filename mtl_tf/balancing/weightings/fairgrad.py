"""FairGrad (Ban and Ji, ICML 2024): alpha-fair gains of all tasks."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def fairgrad(gramian: tf.Tensor, alpha: float = 1.0) -> BalanceReport:
    """`w > 0` with `G w = w^(-1 / alpha)`; Gramian `[K, K]`. Without a solution, MGDA's weights."""
    return balance_report(gramian, "fairgrad", alpha=alpha)


@keras.saving.register_keras_serializable(package="mtl_tf")
class FairGrad(Weighting):
    """Weights for which the gains of all tasks are alpha-fair.

    `FairGrad()(gramian [K, K])` -> weights `[K]`. `alpha` 1 is Nash-MTL; the larger, the more the
    worst task counts. Where some mean of the gradients is zero there is no solution: MGDA's weights
    then, counted as a fallback.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.FairGrad()(gramian)]
        [1.155, 0.577]

    Source: Ban, Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, Eq. 5.

    Args:
        alpha: fairness, 0.05 to 100.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `alpha` is out of range.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.05 <= alpha <= 100:
            raise ValueError(f"alpha must be from 0.05 to 100. Received: {alpha}")
        self.alpha = alpha

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the fair weights."""
        return fairgrad(statistics.gramian, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "alpha": self.alpha}
