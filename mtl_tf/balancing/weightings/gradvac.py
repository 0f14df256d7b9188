"""GradVac (Wang et al., ICLR 2021): gradient vaccine."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.balancing.weightings.random_order import random_order
from mtl_tf.ops import BalanceReport, balance_report


def gradvac(
    gramian: tf.Tensor, order: tf.Tensor, targets: tf.Tensor, beta: float = 0.5
) -> BalanceReport:
    """Return the weights of the sum of all task gradients, each moved towards its target cosines.

    Gramian and target cosines `[K, K]`; `order [K, K-1]`: row i lists the other tasks in the order
    i meets them. The report's `targets` are moved by `beta` towards the observed cosines.
    """
    return balance_report(gramian, "gradvac", order=order, targets=targets, beta=beta)


@keras.saving.register_keras_serializable(package="mtl_tf")
class GradVac(Weighting):
    """PCGrad with moving target cosines instead of 0, which pulls similar tasks together.

    `GradVac()(gramian [K, K])` -> weights `[K]`. Every call draws a new order of the tasks. The
    targets, one per pair of tasks, begin at 0 and follow the cosines of the whole gradients.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.GradVac(seed=0)(gramian)]
        [1.5, 1.125]

    Source: Wang et al., "Gradient Vaccine", ICLR 2021, Eq. 2 and 3 (the paper's `beta` is 0.01).

    Args:
        beta: rate, 0 to 1, at which the targets follow.
        seed: of the orders; from Keras' global seed without it.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `beta` is out of range.
    """

    def __init__(self, beta: float = 0.5, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must be from 0 to 1. Received: {beta}")
        self.beta = beta
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """Create the target cosines and the generator of the orders."""
        self.generator = keras.random.SeedGenerator(self.seed)
        self.targets = self.add_state("targets", (num_tasks, num_tasks))

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the weights of the sum."""
        order = random_order(statistics.gramian.shape[0], self.generator)
        report = gradvac(statistics.gramian, order, tf.convert_to_tensor(self.targets), self.beta)
        if statistics.training:
            self.targets.assign(report.targets)
        return report

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "beta": self.beta, "seed": self.seed}
