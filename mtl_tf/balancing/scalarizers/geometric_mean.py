"""Geometric mean of the losses (Chennupati et al., CVPR Workshops 2019)."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_mean, safe_log


def geometric_mean(losses: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
    """`(prod_i losses_i) ** (1 / K)` over present tasks; all `[K]`, the result a scalar."""
    return tf.exp(masked_mean(safe_log(losses), is_present))


@keras.saving.register_keras_serializable(package="mtl_tf")
class GeometricMean(Scalarizer):
    """Geometric mean of the losses: the scale of a loss does not matter.

    `GeometricMean()(losses [K])` -> scalar. Losses must be positive; one below 1e-8 counts as 1e-8.

    Examples:
        >>> round(float(mtl.balancing.GeometricMean()(tf.constant([1.0, 3.0]))), 3)
        1.732

    Source: Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss
    Strategy for Multi-Task Learning", CVPR Workshops 2019, Eq. 3.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the geometric mean of the present tasks' losses."""
        return geometric_mean(losses, is_present)
