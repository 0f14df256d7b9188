"""IMTL-G (Liu et al., ICLR 2021, section 3.1): a direction that is equally near to all tasks."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def imtl_g(gramian: tf.Tensor) -> BalanceReport:
    """Weights of sum 1 with equal projections on the unit gradients; Gramian `[K, K]`."""
    return balance_report(gramian, "imtl_g")


@keras.saving.register_keras_serializable(package="mtl_tf")
class IMTLG(Weighting):
    """Weights of sum 1 for which the direction has equal projections on all unit gradients.

    `IMTLG()(gramian [K, K])` -> weights `[K]`, which may be negative. Where no weights of sum 1 do
    that, they are all 0 or those nearest to it, counted as a fallback.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.IMTLG()(gramian)]
        [0.667, 0.333]

    Source: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, Eq. 5.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the impartial weights."""
        return imtl_g(statistics.gramian)
