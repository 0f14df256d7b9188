"""UPGrad (Quinton and Rey, 2024): every task's gradient projected onto the dual cone."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def upgrad(gramian: tf.Tensor) -> BalanceReport:
    """`sum_i argmin v' G v` subject to `v >= e_i / K`; Gramian `[K, K]`."""
    return balance_report(gramian, "upgrad")


@keras.saving.register_keras_serializable(package="mtl_tf")
class UPGrad(Weighting):
    """Mean of the task gradients, each projected onto the dual cone (no loss increases).

    `UPGrad()(gramian [K, K])` -> weights `[K]`. The direction conflicts with no task gradient.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.UPGrad()(gramian)]
        [0.75, 0.562]

    Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, Eq. 4.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the sum of K projections."""
        return upgrad(statistics.gramian)
