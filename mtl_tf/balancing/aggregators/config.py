"""ConFIG (Liu et al., ICLR 2025): the direction at equal angles to all task gradients."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Aggregator
from mtl_tf.ops import BalanceStatus, gramian, weighted_sum

_EPSILON = 2.220446049250313e-16
_NO_DIRECTION = 1e-20


def config_weights(gramian: tf.Tensor) -> tf.Tensor:
    """The weights `[K]` by which the task gradients add up to ConFIG's direction.

    With unit gradients `U` the unit direction is `u ~ U^+ 1`, so `u ~ U' C^+ 1` with the cosines
    `C = U U'`, and its length is `sum_i <g_i, u>`. Gramian `[K, K]` float64.
    """
    is_finite = tf.reduce_all(tf.math.is_finite(gramian))
    gramian = tf.where(is_finite, gramian, tf.zeros_like(gramian))  # eigh raises on NaN
    norms = tf.sqrt(tf.linalg.diag_part(gramian))
    inverse = tf.math.divide_no_nan(tf.ones_like(norms), norms)
    cosines = gramian * inverse[:, None] * inverse[None, :]
    values, vectors = tf.linalg.eigh(cosines)
    least = gramian.shape[0] * _EPSILON * tf.reduce_max(values)
    kept = tf.where(values > least, tf.math.divide_no_nan(tf.ones_like(values), values), 0.0)
    coefficients = tf.linalg.matvec(vectors, kept * tf.reduce_sum(vectors, axis=0))
    gains = tf.linalg.matvec(cosines, coefficients)  # <u_i, x> for the unnormalised x
    squared = tf.reduce_sum(coefficients * gains)
    length = tf.math.divide_no_nan(tf.reduce_sum(norms * gains), squared)
    # Opposite gradients have no direction at equal angles: all that is left is rounding.
    length = tf.where(squared > _NO_DIRECTION, length, 0.0)
    nan = tf.constant(float("nan"), tf.float64)
    return tf.where(is_finite, coefficients * inverse * length, nan)


@keras.saving.register_keras_serializable(package="mtl_tf")
class ConFIG(Aggregator):
    """The direction at equal angles to all task gradients, as long as their projections on it.

    `ConFIG()(jacobian [K, P])` -> direction `[P]`. The direction conflicts with no task gradient.

    Source: Liu, Chu, Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
    Networks", ICLR 2025, Eq. 2 and 3.

    Args:
        name: name of the layer.
    """

    def combine(
        self, task_gradients: list[list[Any]], training: bool = False
    ) -> tuple[list[Any], tf.Tensor]:
        """The conflict-free direction."""
        weights = config_weights(gramian(task_gradients))
        is_finite = tf.reduce_all(tf.math.is_finite(weights))
        status = tf.where(is_finite, BalanceStatus.CONVERGED, BalanceStatus.NOT_FINITE)
        return weighted_sum(task_gradients, weights), status
