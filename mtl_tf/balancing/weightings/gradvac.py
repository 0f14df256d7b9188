"""GradVac (Wang et al., ICLR 2021): gradient vaccine."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.balancing.weightings.random_order import random_order
from mtl_tf.ops import BalanceReport, balance_report


def gradvac(
    gramian: tf.Tensor, order: tf.Tensor, targets: tf.Tensor, beta: float = 0.5
) -> BalanceReport:
    """The weights of the sum of all task gradients, each turned towards its target cosines.

    Gramian and target cosines `[K, K]`; `order [K, K-1]`: row i lists the other tasks in the order
    i meets them. The report's `targets` have moved by `beta` towards the cosines met.
    """
    return balance_report(
        gramian, "gradvac", order=order, targets=targets, beta=beta
    )  # fmt: skip


@keras.saving.register_keras_serializable(package="mtl_tf")
class GradVac(Weighting):
    """PCGrad with moving target cosines in the place of 0: similar tasks are drawn together.

    `GradVac()(gramian [K, K])` -> weights `[K]`. Every call draws a new order of the tasks. The
    targets, one per pair of tasks, begin at 0 and follow the cosines of the whole gradients.

    Source: Wang et al., "Gradient Vaccine", ICLR 2021, Eq. 2 and 3 (the paper's `beta` is 0.01).

    Args:
        beta: rate, 0 to 1, at which the targets follow.
        seed: of the orders; from Keras' global seed without it.
        name: name of the layer.

    Raises:
        ValueError: if `beta` is out of range.
    """

    def __init__(self, beta: float = 0.5, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must be from 0 to 1. Received: {beta}")
        self.beta = beta
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """The target cosines, and the generator of the orders."""
        self.generator = keras.random.SeedGenerator(self.seed)
        self.targets = self.add_state("targets", (num_tasks, num_tasks))

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The weights of the turned sum."""
        order = random_order(tasks.gramian.shape[0], self.generator)
        report = gradvac(tasks.gramian, order, tf.convert_to_tensor(self.targets), self.beta)
        if tasks.training:
            self.targets.assign(report.targets)
        return report

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"beta": self.beta, "seed": self.seed, "name": self.name}
