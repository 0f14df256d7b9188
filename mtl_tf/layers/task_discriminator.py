"""Task discriminator: an adversary that makes features indistinguishable between tasks."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.layers.gradient_reversal import reverse_gradient


@keras.saving.register_keras_serializable(package="mtl_tf")
class TaskDiscriminator(keras.layers.Layer):
    """Adversarial loss of classifying the task from its features.

    Two convolutions classify every position; their gradient is reversed before it reaches the
    features. Maninis et al. classify the gradients of the tasks' losses with respect to these
    features; classifying the features needs no second derivatives.

    Source: Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, section 3.3.

    Args:
        weight: weight of the loss.
        units: channels between the two convolutions.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`. Returns it unchanged.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> layer = mtl.layers.TaskDiscriminator(weight=0.01)
        >>> outputs = layer([keras.ops.ones((1, 4, 4, 8))] * 2, training=True)
        >>> len(layer.losses)
        1
    """

    def __init__(self, weight: float = 0.01, units: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.units = units

    def build(self, input_shape: Sequence[tuple[int | None, ...]]) -> None:
        """Create the two convolutions."""
        self.hidden = keras.layers.Conv2D(self.units, 1, activation="relu", name="hidden")
        self.classes = keras.layers.Conv2D(len(input_shape), 1, name="classes", dtype="float32")
        self.hidden.build(input_shape[0])
        self.classes.build((*input_shape[0][:-1], self.units))

    def call(self, features: list[tf.Tensor], training: bool | None = None) -> list[tf.Tensor]:
        """Return the features; in training add the loss."""
        if training:
            losses = []
            for task, x in enumerate(features):
                logits = self.classes(self.hidden(reverse_gradient(x, 1.0)))
                losses.append(-tf.reduce_mean(tf.nn.log_softmax(logits)[..., task]))
            self.add_loss(self.weight * tf.add_n(losses) / len(losses))
        return list(features)

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the input."""
        return list(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "weight": self.weight, "units": self.units}
