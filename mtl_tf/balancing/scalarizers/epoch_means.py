"""Mean losses of each task over an epoch, for methods that look back over epochs."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


class EpochMeans:
    """Running sums of losses, in variables of the method that owns them.

    Args:
        add_state: makes a variable from `(name, shape)`.
        num_tasks: K.
    """

    def __init__(
        self, add_state: Callable[[str, Sequence[int]], keras.Variable], num_tasks: int
    ) -> None:
        self.sums = add_state("loss_sums", (num_tasks,))
        self.counts = add_state("loss_counts", (num_tasks,))

    def add(self, losses: tf.Tensor, is_present: tf.Tensor) -> None:
        """Add the losses `[K]` of a step, those of present tasks."""
        self.sums.assign_add(tf.where(is_present, tf.cast(losses, tf.float64), 0.0))
        self.counts.assign_add(tf.cast(is_present, tf.float64))

    def take(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Means `[K]`, and bool `[K]`: which tasks have any; the sums start again from zero."""
        sums, counts = tf.convert_to_tensor(self.sums), tf.convert_to_tensor(self.counts)
        self.sums.assign(tf.zeros_like(sums))
        self.counts.assign(tf.zeros_like(counts))
        return tf.math.divide_no_nan(sums, counts), counts > 0
