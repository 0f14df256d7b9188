"""Channel scaling: the modulation module of shared features."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="mtl_tf")
class ChannelScaling(keras.layers.Layer):
    """Multiplication of every channel by a learned scale, initially 1.

    One such layer per task between shared features and heads lets tasks weigh channels differently,
    which reduces conflicts between their gradients in the shared variables.

    Source: Zhao et al., "A Modulation Module for Multi-Task Learning with Applications in Image
    Retrieval", ECCV 2018, section 3.2.

    Call arguments: features `[B, h, w, C]`. Returns features of the same shape.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> mtl.layers.ChannelScaling()(keras.ops.ones((1, 4, 4, 8))).shape
        TensorShape([1, 4, 4, 8])
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the C scales."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the scaled features."""
        return x * self.scale

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape
