"""DualProj (Lopez-Paz and Ranzato, NeurIPS 2017): the mean projected onto the dual cone."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def dualproj(gramian: tf.Tensor) -> BalanceReport:
    """`argmin v' G v` subject to `v >= 1 / K`; Gramian `[K, K]`."""
    return balance_report(gramian, "dualproj")


@keras.saving.register_keras_serializable(package="mtl_tf")
class DualProj(Weighting):
    """The mean gradient, moved as little as possible until no task is harmed.

    `DualProj()(gramian [K, K])` -> weights `[K]`. The direction conflicts with no task gradient.

    Source: Lopez-Paz, Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017,
    Eq. 8, with the mean gradient in the place of the current task's.

    Args:
        name: name of the layer.
    """

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The projection of the mean."""
        return dualproj(tasks.gramian)
