"""Nash-MTL (Navon et al., ICML 2022): the Nash bargaining solution of the tasks."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def nash_mtl(gramian: tf.Tensor) -> BalanceReport:
    """`w > 0` with `G w = 1 / w`; Gramian `[K, K]`. Without a solution, MGDA's weights."""
    return balance_report(gramian, "nash_mtl")


@keras.saving.register_keras_serializable(package="mtl_tf")
class NashMTL(Weighting):
    """Nash bargaining solution: weights for which gain times weight is the same for every task.

    From a Gramian `[K, K]` to weights `[K]`. The length of the direction is `sqrt(K)` whatever
    the length of the gradients, so the learning rate alone sets the size of a step. Where some mean
    of the gradients is zero there is no solution: MGDA's weights then, counted as a fallback.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.NashMTL()(gramian)]
        [1.155, 0.577]

    Source: Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, Claim 3.1.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the bargaining solution."""
        return nash_mtl(statistics.gramian)
