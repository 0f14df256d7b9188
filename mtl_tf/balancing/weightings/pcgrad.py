"""PCGrad (Yu et al., NeurIPS 2020): gradient surgery."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.balancing.weightings.random_order import random_order
from mtl_tf.ops import BalanceReport, balance_report


def pcgrad(gramian: tf.Tensor, order: tf.Tensor) -> BalanceReport:
    """Return the weights of the sum of the task gradients after their conflicts are projected out.

    Gramian `[K, K]`; `order [K, K-1]`: row i lists the other tasks in the order i meets them.
    """
    return balance_report(gramian, "pcgrad", order=order)


@keras.saving.register_keras_serializable(package="mtl_tf")
class PCGrad(Weighting):
    """Sum of the task gradients, each projected onto the normal plane of those it conflicts with.

    `PCGrad()(gramian [K, K])` -> weights `[K]`. Every call draws a new order of the tasks.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.PCGrad(seed=0)(gramian)]
        [1.5, 1.125]

    Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, Algorithm 1.

    Args:
        seed: of the orders; from Keras' global seed without it.
        **kwargs: `name`, as of any Keras layer.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """Create the generator of the orders."""
        self.generator = keras.random.SeedGenerator(self.seed)

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the weights of the projected sum."""
        return pcgrad(statistics.gramian, random_order(statistics.gramian.shape[0], self.generator))

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "seed": self.seed}
