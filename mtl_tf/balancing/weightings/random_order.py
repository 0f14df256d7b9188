"""The random order in which each task meets the others, for PCGrad and GradVac."""

import keras
import tensorflow as tf


def random_order(num_tasks: int, generator: keras.random.SeedGenerator) -> tf.Tensor:
    """Int32 `[K, K-1]`: row i lists the other tasks in random order."""
    numbers = keras.random.uniform((num_tasks, num_tasks), dtype="float32", seed=generator)
    # The own number is above all others, so that it comes last and is cut off.
    order = tf.argsort(numbers + 2.0 * tf.eye(num_tasks), axis=1)
    return order[:, : num_tasks - 1]
