"""Normalisation of images inside a model."""

import keras
import tensorflow as tf

from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD


@keras.saving.register_keras_serializable(package="mtl_tf")
class Preprocessing(keras.layers.Layer):
    """RGB images 0..255 as the networks of this library expect them: by ImageNet's statistics.

    Call arguments: images `[B, H, W, 3]` of any dtype, values 0..255. Returns float32 images of the
    same shape.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> white = keras.ops.full((1, 1, 1, 3), 255, "uint8")
        >>> [round(float(x), 3) for x in mtl.layers.Preprocessing()(white)[0, 0, 0]]
        [2.249, 2.429, 2.64]
    """

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Return the normalised images."""
        scale, offset = 1.0 / (255.0 * IMAGENET_STD), -IMAGENET_MEAN / IMAGENET_STD
        x = tf.cast(image, self.compute_dtype)
        return x * tf.cast(scale, x.dtype) + tf.cast(offset, x.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape
