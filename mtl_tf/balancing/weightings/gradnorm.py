"""GradNorm (Chen et al., ICML 2018; survey, section 3.1): gradient norms by training rate."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting, exact
from mtl_tf.balancing.masked import assign_where, count, masked_mean, masked_sum
from mtl_tf.ops import BalanceReport

_LEAST_WEIGHT = 1e-4


def gradnorm_gradient(
    weights: tf.Tensor, norms: tf.Tensor, rates: tf.Tensor, alpha: float, is_present: tf.Tensor
) -> tf.Tensor:
    """`d/dw sum_i |w_i n_i - target_i|` over the mean norm; all `[K]`.

    `target_i = mean(w n) * (r_i / mean(r)) ** alpha` is constant; `n` are the norms of the task
    gradients and `r` the losses relative to the first ones, 1 where not known.
    """
    scaled = weights * norms
    relative = tf.math.divide_no_nan(rates, masked_mean(rates, is_present))
    targets = masked_mean(scaled, is_present) * relative**alpha
    mean_norm = masked_mean(norms, is_present)
    gradient = tf.sign(scaled - targets) * tf.math.divide_no_nan(norms, mean_norm)
    return tf.where(is_present, gradient, tf.zeros_like(gradient))


@keras.saving.register_keras_serializable(package="mtl_tf")
class GradNorm(Weighting):
    """Learned weights that match each task's gradient norm to its relative training rate.

    `GradNorm()(gramian [K, K], losses=[K])` -> weights `[K]` of sum K. The weights move down the
    gradient of `sum_i |w_i n_i - target_i|`, which the diagonal of the Gramian gives without a
    second backward pass. It is taken relative to the mean norm, so that their learning rate does
    not depend on the scale of the losses. Without losses all tasks count as training equally fast.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.GradNorm()(gramian)]
        [1.0, 1.0]

    Source: Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
    Multitask Networks", ICML 2018, Eq. 1 and 2, on all shared variables.

    Args:
        alpha: strength; 0 asks for equal norms.
        learning_rate: of the weights.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `alpha` or `learning_rate` is negative.
    """

    def __init__(self, alpha: float = 1.5, learning_rate: float = 0.025, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for key, value in (("alpha", alpha), ("learning_rate", learning_rate)):
            if not value >= 0:
                raise ValueError(f"{key} must not be negative. Received: {value}")
        self.alpha = alpha
        self.learning_rate = learning_rate

    def make_state(self, num_tasks: int) -> None:
        """Create the weights and the initial loss of each task (0 until known)."""
        self.task_weights = self.add_state("task_weights", (num_tasks,), initial=1.0)
        self.initial_losses = self.add_state("initial_losses", (num_tasks,))

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the weights of this step; in training they then move for the next one."""
        present = statistics.is_present
        weights = tf.convert_to_tensor(self.task_weights)
        if statistics.training:
            rates = self._rates(statistics.losses, present)
            norms = tf.sqrt(tf.linalg.diag_part(statistics.gramian))
            gradient = gradnorm_gradient(weights, norms, rates, self.alpha, present)
            changed = tf.maximum(weights - self.learning_rate * gradient, _LEAST_WEIGHT)
            # The present tasks share what they had, so that the sum of all stays K.
            share = masked_sum(weights, present) / masked_sum(changed, present)
            assign_where(self.task_weights, changed * share, present & tf.math.is_finite(changed))
        return exact(weights * self._correction(weights, present))

    def _rates(self, losses: tf.Tensor | None, is_present: tf.Tensor) -> tf.Tensor:
        if losses is None:
            return tf.ones([is_present.shape[0]], tf.float64)
        first = tf.convert_to_tensor(self.initial_losses)
        first = tf.where(is_present & (first == 0), losses, first)
        assign_where(self.initial_losses, first, is_present)
        return tf.where(first > 0, tf.math.divide_no_nan(tf.maximum(losses, 0.0), first), 1.0)

    def _correction(self, weights: tf.Tensor, is_present: tf.Tensor) -> tf.Tensor:
        """Present tasks' weights add up to their number."""
        return count(is_present, tf.float64) / tf.maximum(masked_sum(weights, is_present), 1e-12)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "alpha": self.alpha, "learning_rate": self.learning_rate}
