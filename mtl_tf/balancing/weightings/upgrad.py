"""UPGrad (Quinton and Rey, 2024): every task's gradient projected onto the dual cone."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def upgrad(gramian: tf.Tensor) -> BalanceReport:
    """`sum_i argmin v' G v` subject to `v >= e_i / K`; Gramian `[K, K]`."""
    return balance_report(gramian, "upgrad")


@keras.saving.register_keras_serializable(package="mtl_tf")
class UPGrad(Weighting):
    """The mean of the task gradients, each moved as little as possible until no task is harmed.

    `UPGrad()(gramian [K, K])` -> weights `[K]`. The direction conflicts with no task gradient.

    Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, Eq. 4.

    Args:
        name: name of the layer.
    """

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The sum of K projections."""
        return upgrad(tasks.gramian)
