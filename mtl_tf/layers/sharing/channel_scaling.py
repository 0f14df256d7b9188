"""Channel scaling: the modulation module that gives each task its own view of shared features."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="mtl_tf")
class ChannelScaling(keras.layers.Layer):
    """Multiplies every channel by a learned number, 1 at first.

    One such layer per task between shared features and heads lets tasks disagree about channels
    without disagreeing about the variables before them.

    Source: Zhao et al., "A Modulation Module for Multi-Task Learning with Applications in Image
    Retrieval", ECCV 2018, section 3.2.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: features `[B, h, w, C]`. Returns features of the same shape.
    """

    def build(self, input_shape: Any) -> None:
        """Makes the C numbers."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        """The scaled features."""
        return x * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape
