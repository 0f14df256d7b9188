"""Task discriminator: an adversary that keeps features from telling which task they serve."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.layers.gradient_reversal import reverse_gradient


@keras.saving.register_keras_serializable(package="mtl_tf")
class TaskDiscriminator(keras.layers.Layer):
    """Adds the loss of telling tasks apart by their features; these learn to make that hard.

    Two convolutions classify every position; their gradient is reversed before it reaches the
    features. Maninis et al. discriminate the gradients that the tasks' losses have at these
    features; to judge the features themselves needs no second derivatives.

    Source: Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, section 3.3.

    Args:
        weight: of the loss.
        units: channels between the two convolutions.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`. Returns it.
    """

    def __init__(self, weight: float = 0.01, units: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Makes the two convolutions."""
        self.hidden = keras.layers.Conv2D(self.units, 1, activation="relu", name="hidden")
        self.classes = keras.layers.Conv2D(len(input_shape), 1, name="classes", dtype="float32")
        self.hidden.build(input_shape[0])
        self.classes.build((*input_shape[0][:-1], self.units))

    def call(self, features: Any, training: bool | None = None) -> Any:
        """The features."""
        if training:
            losses = []
            for task, x in enumerate(features):
                logits = self.classes(self.hidden(reverse_gradient(x, 1.0)))
                losses.append(-tf.reduce_mean(tf.nn.log_softmax(logits)[..., task]))
            self.add_loss(self.weight * tf.add_n(losses) / len(losses))
        return list(features)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the input."""
        return list(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "weight": self.weight, "units": self.units}
