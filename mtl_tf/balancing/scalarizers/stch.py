"""Smooth Tchebycheff scalarization (Lin et al., ICML 2024)."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import assign_where, count, masked_sum, safe_log
from mtl_tf.balancing.scalarizers.epoch_means import EpochMeans


def stch(losses: tf.Tensor, nadir: tf.Tensor, mu: float, is_present: tf.Tensor) -> tf.Tensor:
    """`K mu log sum_i exp(log(losses_i / nadir_i) / mu)` over present tasks; all `[K]`."""
    relative = (safe_log(losses) - safe_log(nadir)) / mu
    lowest = tf.where(tf.reduce_any(is_present), tf.cast(relative.dtype.min, relative.dtype), 0)
    relative = tf.where(is_present, relative, lowest)
    smooth = count(is_present, losses.dtype) * mu * tf.reduce_logsumexp(relative)
    return tf.where(tf.reduce_any(is_present), smooth, tf.zeros_like(smooth))


@keras.saving.register_keras_serializable(package="mtl_tf")
class STCH(Scalarizer):
    """Smooth maximum of the losses, each relative to its own mean in an epoch of warm-up.

    `STCH()(losses [K])` -> scalar. Until the end of the warm-up it is the sum of the logarithms of
    the losses. A task without a label in the last epoch of the warm-up is taken relative to 1.

    Examples:
        >>> round(float(mtl.balancing.STCH()(tf.constant([1.0, 3.0]))), 3)
        1.099

    Source: Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML
    2024, Eq. 8, on the logarithms of the losses as in its multi-task experiments.

    Args:
        mu: smoothness; towards 0 the result is the maximum.
        warmup_epochs: number of epochs before the method begins; the last of them gives the means.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `mu` is not positive or `warmup_epochs` not at least 1.
    """

    def __init__(self, mu: float = 1.0, warmup_epochs: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not mu > 0:
            raise ValueError(f"mu must be positive. Received: {mu}")
        if warmup_epochs < 1:
            raise ValueError(f"warmup_epochs must be at least 1. Received: {warmup_epochs}")
        self.mu = mu
        self.warmup_epochs = warmup_epochs

    def make_state(self, num_tasks: int) -> None:
        """Create the running mean, its value at the end of the warm-up, and the epoch counter."""
        self.means = EpochMeans(self.add_state, num_tasks)
        self.nadir = self.add_state("nadir", (num_tasks,), initial=1.0)
        self.epochs = self.add_state("epochs", ())

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the smooth maximum, or the sum of logarithms during the warm-up."""
        if training:
            self.means.add(losses, is_present)
        nadir = tf.cast(tf.convert_to_tensor(self.nadir), losses.dtype)
        return tf.where(
            tf.convert_to_tensor(self.epochs) < self.warmup_epochs,
            masked_sum(safe_log(losses), is_present),
            stch(losses, nadir, self.mu, is_present),
        )

    def end_epoch(self) -> None:
        """Take the means of the last epoch of the warm-up."""
        means, is_known = self.means.take()
        self.epochs.assign_add(1.0)
        is_last = tf.equal(tf.convert_to_tensor(self.epochs), float(self.warmup_epochs))
        assign_where(self.nadir, means, is_known & is_last)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "mu": self.mu, "warmup_epochs": self.warmup_epochs}
