"""ConFIG (Liu et al., ICLR 2025): the direction at equal angles to all task gradients."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report


def config_weights(gramian: tf.Tensor) -> BalanceReport:
    """Return the weights of ConFIG's direction for a Gramian `[K, K]`.

    With unit gradients `U` and their cosines `C = U U'` the direction is that of `x = U' C^+ 1`,
    and its length `sum_i <g_i, x> / |x|`. `C^+ 1`, at sum 1, is what IMTL-G takes of cosines.
    """
    norms = tf.sqrt(tf.linalg.diag_part(gramian))
    inverse = tf.math.divide_no_nan(tf.ones_like(norms), norms)
    cosines = gramian * inverse[:, None] * inverse[None, :]
    report = balance_report(cosines, "imtl_g")
    gains = tf.linalg.matvec(cosines, report.weights)  # <u_i, x>
    squared = tf.reduce_sum(report.weights * gains)
    length = tf.math.divide_no_nan(tf.reduce_sum(norms * gains), squared)
    return report._replace(weights=report.weights * inverse * length)


@keras.saving.register_keras_serializable(package="mtl_tf")
class ConFIG(Weighting):
    """Direction at equal angles to all task gradients, as long as the sum of their projections.

    `ConFIG()(gramian [K, K])` -> weights `[K]`. The direction conflicts with no task gradient.
    Where no direction is at equal angles to all, it is the one nearest to that, or 0 if gradients
    cancel each other, counted as a fallback.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.ConFIG()(gramian)]
        [1.5, 0.75]

    Source: Liu, Chu, Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
    Networks", ICLR 2025, Eq. 2 and 3.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the weights of the conflict-free direction."""
        return config_weights(statistics.gramian)
