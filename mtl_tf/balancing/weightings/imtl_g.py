"""IMTL-G (Liu et al., ICLR 2021, section 3.1): a direction that is equally near to all tasks."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def imtl_g(gramian: tf.Tensor) -> BalanceReport:
    """Weights of sum 1 with equal projections on the unit gradients; Gramian `[K, K]`."""
    return balance_report(gramian, "imtl_g")


@keras.saving.register_keras_serializable(package="mtl_tf")
class IMTLG(Weighting):
    """Weights of sum 1 by which the direction has equal projections on all unit gradients.

    `IMTLG()(gramian [K, K])` -> weights `[K]`, which may be negative. Where no weights of sum 1 do
    that, they are all 0 or those nearest to it, counted as a fallback.

    Source: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, Eq. 5.

    Args:
        name: name of the layer.
    """

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The impartial weights."""
        return imtl_g(tasks.gramian)
