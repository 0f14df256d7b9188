"""The plain sum and mean of task gradients: what all other weightings are compared with."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting, exact
from mtl_tf.balancing.masked import count
from mtl_tf.ops import BalanceReport


@keras.saving.register_keras_serializable(package="mtl_tf")
class Sum(Weighting):
    """Weight 1 for every task: the update of equal fixed weights, at K times the cost.

    `Sum()(gramian [K, K])` -> weights `[K]`. For diagnostics, and to test others against.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.Sum()(gramian)]
        [1.0, 1.0]

    Source: Vandenhende et al., TPAMI 2021, Eq. 1 with equal weights.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """One for each task."""
        return exact(tf.ones([statistics.gramian.shape[0]], tf.float64))


@keras.saving.register_keras_serializable(package="mtl_tf")
class Mean(Weighting):
    """Weight `1 / K` for every present task.

    `Mean()(gramian [K, K])` -> weights `[K]`.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.Mean()(gramian)]
        [0.5, 0.5]

    Source: Vandenhende et al., TPAMI 2021, Eq. 1 with equal weights.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """One over the number of present tasks, for each."""
        weight = 1.0 / count(statistics.is_present, tf.float64)
        return exact(tf.fill([statistics.gramian.shape[0]], weight))
