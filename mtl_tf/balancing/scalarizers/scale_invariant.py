"""Scale-invariant baseline: the sum of the logarithms of the losses (Navon et al., ICML 2022)."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_sum, safe_log


def scale_invariant(losses: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
    """`sum_i log(losses_i)` over present tasks; all `[K]`, the result a scalar."""
    return masked_sum(safe_log(losses), is_present)


@keras.saving.register_keras_serializable(package="mtl_tf")
class ScaleInvariant(Scalarizer):
    """Sum of the logarithms of the losses: each task's weight is one over its loss.

    `ScaleInvariant()(losses [K])` -> scalar, negative for small losses. Losses must be positive;
    one below 1e-8 counts as 1e-8.

    Examples:
        >>> round(float(mtl.balancing.ScaleInvariant()(tf.constant([1.0, 3.0]))), 3)
        1.099

    Source: the scale-invariant baseline of Navon et al., "Multi-Task Learning as a Bargaining
    Game", ICML 2022, section 6.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the sum of the logarithms of the present tasks' losses."""
        return scale_invariant(losses, is_present)
