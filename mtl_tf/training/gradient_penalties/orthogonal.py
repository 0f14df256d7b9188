"""Orthogonal gradients (Suteu and Guo, 2019): task gradients are pushed towards right angles."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.ops import gramian
from mtl_tf.typing import TaskGradients


def orthogonality(task_gradients: TaskGradients) -> tf.Tensor:
    """`sum_{i<j} cos²(g_i, g_j)`, a float32 scalar; a gradient of length 0 counts as orthogonal.

    Args:
        task_gradients: K lists of n tensors, `None` for zero.
    """
    products = gramian(task_gradients)
    squares = tf.linalg.diag_part(products)
    cosines_squared = tf.math.divide_no_nan(products**2, squares[:, None] * squares[None, :])
    above = tf.linalg.band_part(tf.ones_like(products), 0, -1) - tf.eye(
        len(task_gradients), dtype=tf.float64
    )
    return tf.cast(tf.reduce_sum(above * cosines_squared), tf.float32)


@keras.saving.register_keras_serializable(package="mtl_tf")
class OrthogonalGradients(keras.layers.Layer):
    """Penalty on the squared cosines between task gradients of the shared features.

    Examples:
        >>> penalty = mtl.training.OrthogonalGradients(weight=0.1)
        >>> trainer.compile("adam", gradient_penalties=[penalty])  # doctest: +SKIP

    Source: Suteu, Guo, "Regularizing Deep Multi-Task Networks using Orthogonal Gradients", 2019,
    Eq. 3.

    Args:
        weight: factor of the penalty.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `weight` is negative.
    """

    def __init__(self, weight: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        if not weight >= 0:
            raise ValueError(f"weight must not be negative. Received: {weight}")
        self.weight = weight

    def penalty(self, task_gradients: TaskGradients) -> tf.Tensor:
        """Return the penalty of K lists of task gradients, a float32 scalar."""
        return self.weight * orthogonality(task_gradients)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "weight": self.weight}
