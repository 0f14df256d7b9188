"""IMTL-L (Liu et al., ICLR 2021, section 3.2): learned scales that make all losses equal."""

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_sum
from mtl_tf.balancing.scalarizers.log_weights import add_exponents


def imtl_l(losses: tf.Tensor, log_scales: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
    """`sum_i exp(s_i) * losses_i - s_i` over present tasks; all `[K]`."""
    return masked_sum(tf.exp(log_scales) * losses - log_scales, is_present)


@keras.saving.register_keras_serializable(package="mtl_tf")
class IMTLL(Scalarizer):
    """Learned weights `exp(s)` whose optimum makes every weighted loss 1.

    `IMTLL()(losses [K])` -> scalar. The `s` start at 0, are trainable, updated by the trainer's
    optimizer without weight decay, and stay within ±10.

    Examples:
        >>> round(float(mtl.balancing.IMTLL()(tf.constant([1.0, 3.0]))), 3)
        4.0

    Source: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, Eq. 8.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    def make_state(self, num_tasks: int) -> None:
        """One log scale per task."""
        self.log_scales = add_exponents(self, num_tasks, "log_scales", 0.0)

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the sum of the present tasks' terms."""
        return imtl_l(losses, tf.cast(self.log_scales, losses.dtype), is_present)
