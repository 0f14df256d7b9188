"""The plain sum and mean of task gradients: what all other weightings are compared with."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting, exact
from mtl_tf.balancing.masked import count
from mtl_tf.ops import BalanceReport


@keras.saving.register_keras_serializable(package="mtl_tf")
class Sum(Weighting):
    """Weight 1 for every task: the update of equal fixed weights, at K times the cost.

    `Sum()(gramian [K, K])` -> weights `[K]`. For diagnostics, and to test others against.

    Source: Vandenhende et al., TPAMI 2021, Eq. 1 with equal weights.

    Args:
        name: name of the layer.
    """

    def solve(self, tasks: Tasks) -> BalanceReport:
        """One for each task."""
        return exact(tf.ones([tasks.gramian.shape[0]], tf.float64))


@keras.saving.register_keras_serializable(package="mtl_tf")
class Mean(Weighting):
    """Weight `1 / K` for every present task.

    `Mean()(gramian [K, K])` -> weights `[K]`.

    Source: Vandenhende et al., TPAMI 2021, Eq. 1 with equal weights.

    Args:
        name: name of the layer.
    """

    def solve(self, tasks: Tasks) -> BalanceReport:
        """One over the number of present tasks, for each."""
        weight = 1.0 / count(tasks.is_present, tf.float64)
        return exact(tf.fill([tasks.gramian.shape[0]], weight))
