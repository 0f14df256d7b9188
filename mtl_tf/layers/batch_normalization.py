"""Batch normalisation whose training pass is one operation, and so are its gradients.

Keras normalises with a chain of operations (moments, differences, products), each of which reads
and writes all features, and so do their gradients. TensorFlow has one operation for the statistics
and the output, and one for all gradients.
"""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.typing import Tensor


def normalize_batch(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise features by the statistics of their batch, channel by channel.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1.

    Args:
        x: features `[B, H, W, C]`, float32, float16 or bfloat16.
        gamma: scale `[C]`, float32.
        beta: offset `[C]`, float32.
        epsilon: added to the variance.

    Returns:
        Features `[B, H, W, C]`, and the mean and the variance of the batch, `[C]` float32.
    """
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    size = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), variance.dtype)
    return y, mean, variance * ((size - 1.0) / size)  # TensorFlow divides by size - 1


@keras.saving.register_keras_serializable(package="mtl_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` computed by `normalize_batch` in training.

    It has the arguments (by name), weights and results of Keras' layer. What `normalize_batch` does
    not cover (masks, `renorm`, `synchronized`, another axis or rank, no scale or offset, float64)
    is computed as Keras does.

    Source: as `normalize_batch`.

    Args:
        **kwargs: arguments of `keras.layers.BatchNormalization`.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> layer = mtl.layers.BatchNormalization(momentum=0.9)
        >>> layer(keras.ops.ones((1, 8, 8, 2)), training=True).shape
        TensorShape([1, 8, 8, 2])
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> tf.Tensor:
        """Return the normalised features, of the shape of `inputs`."""
        if not (training and self.trainable) or mask is not None or not self._is_covered(inputs):
            return super().call(inputs, training=training, mask=mask)
        y, mean, variance = normalize_batch(
            tf.convert_to_tensor(inputs),
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            self.epsilon,
        )
        for moving, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + of_batch * (1.0 - self.momentum))
        return keras.ops.cast(y, self.compute_dtype)

    def _is_covered(self, inputs: Tensor) -> bool:
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not (self.renorm or self.synchronized)
            and keras.backend.standardize_dtype(inputs.dtype) in _DTYPES
            and self.gamma.dtype == "float32"
        )


_DTYPES = ("float32", "float16", "bfloat16")
