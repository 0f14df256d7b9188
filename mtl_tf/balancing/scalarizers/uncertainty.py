"""Uncertainty weighting (Kendall, Gal, Cipolla, CVPR 2018, Eq. 7; survey, section 3.1)."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_sum
from mtl_tf.balancing.scalarizers.log_weights import add_exponents, check_initial


def uncertainty(losses: tf.Tensor, log_variances: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
    """`sum_i exp(-v_i) / 2 * losses_i + v_i / 2` over present tasks; all `[K]`, `v = log σ²`."""
    return masked_sum(0.5 * (tf.exp(-log_variances) * losses + log_variances), is_present)


@keras.saving.register_keras_serializable(package="mtl_tf")
class Uncertainty(Scalarizer):
    """Learned weights `exp(-v) / 2`, with `v` the log variance of each task's noise.

    `Uncertainty()(losses [K])` -> scalar. The log variances are trainable and updated by the
    trainer's optimizer, without weight decay; they stay within ±10. The scalar may be negative.

    Examples:
        >>> round(float(mtl.balancing.Uncertainty()(tf.constant([1.0, 3.0]))), 3)
        2.797

    Source: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR
    2018, Eq. 7, with one form for all losses.

    Args:
        initial_log_variance: start of `v`; -0.5 gives weights of 0.82.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `initial_log_variance` is beyond ±10.
    """

    def __init__(self, initial_log_variance: float = -0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_initial(initial_log_variance, "initial_log_variance")
        self.initial_log_variance = initial_log_variance

    def make_state(self, num_tasks: int) -> None:
        """One log variance per task."""
        self.log_variances = add_exponents(
            self, num_tasks, "log_variances", self.initial_log_variance
        )

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the sum of the present tasks' terms."""
        return uncertainty(losses, tf.cast(self.log_variances, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "initial_log_variance": self.initial_log_variance}
