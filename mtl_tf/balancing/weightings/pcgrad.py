"""PCGrad (Yu et al., NeurIPS 2020): gradient surgery."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Tasks, Weighting
from mtl_tf.balancing.weightings.random_order import random_order
from mtl_tf.ops import BalanceReport, balance_report


def pcgrad(gramian: tf.Tensor, order: tf.Tensor) -> BalanceReport:
    """The weights of the sum of all task gradients, each without what conflicts with the others.

    Gramian `[K, K]`; `order [K, K-1]`: row i lists the other tasks in the order i meets them.
    """
    return balance_report(gramian, "pcgrad", order=order)


@keras.saving.register_keras_serializable(package="mtl_tf")
class PCGrad(Weighting):
    """The sum of the task gradients, each projected on the normal plane of those it conflicts with.

    `PCGrad()(gramian [K, K])` -> weights `[K]`. Every call draws a new order of the tasks.

    Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, Algorithm 1.

    Args:
        seed: of the orders; from Keras' global seed without it.
        name: name of the layer.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """The generator of the orders."""
        self.generator = keras.random.SeedGenerator(self.seed)

    def solve(self, tasks: Tasks) -> BalanceReport:
        """The weights of the projected sum."""
        return pcgrad(tasks.gramian, random_order(tasks.gramian.shape[0], self.generator))

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"seed": self.seed, "name": self.name}
