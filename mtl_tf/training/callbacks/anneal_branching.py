"""The course of learned branching: equal mixing at first, then colder and colder choices."""

import math
from typing import Any

import keras

from mtl_tf.layers import BranchingChoices


class AnnealBranching(keras.callbacks.Callback):
    """Sets the temperature of branching choices at the start of every epoch.

    All nodes are mixed in equal parts for the first hundredth of the epochs; after that the
    temperature is `epochs / 20 / sqrt(epoch + 1)`. It depends only on the number of the epoch, so
    a resumed run continues the same schedule.

    Examples:
        >>> mtl.training.AnnealBranching(epochs=100).epochs
        100

    Source: Guo et al., "Learning to Branch for Multi-Task Learning", ICML 2020, with the schedule
    of LibMTL.

    Args:
        epochs: length of the training.
        mixing_share: share of the epochs in which nodes are mixed in equal parts.

    Raises:
        ValueError: if `epochs` is not positive.
    """

    def __init__(self, epochs: int, mixing_share: float = 0.01) -> None:
        super().__init__()
        if epochs < 1:
            raise ValueError(f"epochs must be positive. Received: {epochs}")
        self.epochs = epochs
        self.mixing_share = mixing_share

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the temperature."""
        trainer: Any = self.model
        model = getattr(trainer, "network", trainer)
        for layer in model.layers:
            if isinstance(layer, BranchingChoices):
                layer.is_mixing.assign(float(epoch < self.mixing_share * self.epochs))
                layer.temperature.assign(self.epochs / 20 / math.sqrt(epoch + 1))
