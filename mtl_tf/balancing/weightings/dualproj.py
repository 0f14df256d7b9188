"""DualProj (Lopez-Paz and Ranzato, NeurIPS 2017): the mean projected onto the dual cone."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def dualproj(gramian: tf.Tensor) -> BalanceReport:
    """`argmin v' G v` subject to `v >= 1 / K`; Gramian `[K, K]`."""
    return balance_report(gramian, "dualproj")


@keras.saving.register_keras_serializable(package="mtl_tf")
class DualProj(Weighting):
    """Projection of the mean gradient onto the dual cone (no loss increases).

    `DualProj()(gramian [K, K])` -> weights `[K]`. The direction conflicts with no task gradient.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.DualProj()(gramian)]
        [0.5, 0.5]

    Source: Lopez-Paz, Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017,
    Eq. 8, with the mean gradient instead of the current task's.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the projection of the mean."""
        return dualproj(statistics.gramian)
