"""MGDA (Désidéri 2012; Sener and Koltun, NeurIPS 2018): the shortest mean of the gradients."""

from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.balancing.masked import masked_sum
from mtl_tf.ops import BalanceReport, balance_report

Normalisation = Literal["none", "l2", "loss", "loss+"]


def mgda(gramian: tf.Tensor, normalisers: tf.Tensor, is_present: tf.Tensor) -> BalanceReport:
    """Weights `a_i / n_i` of sum 1, `a` the simplex weights with minimum `|sum_i a_i g_i / n_i|`.

    Gramian `[K, K]`, positive normalisers `n [K]`.
    """
    report = balance_report(gramian / normalisers[:, None] / normalisers, "mgda")
    # Relative to their minimum, so that no quotient overflows.
    minimum = tf.reduce_min(tf.where(is_present, normalisers, float("inf")))
    weights = tf.where(is_present, report.weights * (minimum / normalisers), 0.0)
    total = masked_sum(weights, is_present)
    return report._replace(weights=weights / tf.where(total > 0, total, 1.0))


def normalisers(
    gramian: tf.Tensor, losses: tf.Tensor | None, normalisation: Normalisation
) -> tf.Tensor:
    """Return the divisor of each task gradient, `[K]`; 1 where it would be 0."""
    divisors = tf.ones([gramian.shape[0]], tf.float64)
    if normalisation in ("l2", "loss+"):
        divisors *= tf.sqrt(tf.linalg.diag_part(gramian))
    if normalisation in ("loss", "loss+"):
        if losses is None:
            raise ValueError(
                f"MGDA(normalisation={normalisation!r}) needs the losses: pass losses=[K]"
            )
        divisors *= losses
    return tf.where(divisors > 0, divisors, 1.0)


@keras.saving.register_keras_serializable(package="mtl_tf")
class MGDA(Weighting):
    """Minimum-norm point of the convex hull of the task gradients; dominated by small gradients.

    `MGDA()(gramian [K, K])` -> weights `[K]` on the simplex. With `level="features"` it is MGDA-UB.
    With a normalisation the direction is the minimum-norm point of the normalised gradients; the
    weights still add up to 1. The published code applies the simplex weights of normalised
    gradients to the original gradients, whose sum may increase the loss of a task.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.MGDA()(gramian)]
        [0.75, 0.25]

    Source: Désidéri, C. R. Math. 2012; Sener, Koltun, "Multi-Task Learning as Multi-Objective
    Optimization", NeurIPS 2018, Eq. 3 and 5.

    Args:
        normalisation: each gradient is divided by `"none"`, its length (`"l2"`), its loss
            (`"loss"`), or both (`"loss+"`).
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: for another normalisation, or when called without the losses it needs.
    """

    def __init__(self, normalisation: Normalisation = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if normalisation not in get_args(Normalisation):
            raise ValueError(
                f"normalisation must be one of {get_args(Normalisation)}. "
                f"Received: {normalisation!r}"
            )
        self.normalisation = normalisation

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the weights of the minimum-norm point."""
        return mgda(
            statistics.gramian,
            normalisers(statistics.gramian, statistics.losses, self.normalisation),
            statistics.is_present,
        )

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "normalisation": self.normalisation}
