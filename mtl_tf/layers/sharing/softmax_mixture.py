"""Softmax mixture: learned convex combination of features of one shape."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LAST = 0.9


@keras.saving.register_keras_serializable(package="mtl_tf")
class SoftmaxMixture(keras.layers.Layer):
    """`y = Σ_s softmax(β)_s x_s`, initially with weight 0.9 for the last input.

    where `x_s` is the s-th input and `β` are learned logits.

    Source: the skip connections of Ruder et al., "Latent Multi-Task Architecture Learning",
    AAAI 2019, equation 3.

    Args:
        learning_rate_multiplier: multiplier of the learning rate of the logits.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of S features of one shape. Returns one of that shape.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> mtl.layers.SoftmaxMixture()([keras.ops.ones((1, 4, 4, 8))] * 3).shape
        TensorShape([1, 4, 4, 8])
    """

    def __init__(self, learning_rate_multiplier: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, input_shape: Sequence[tuple[int | None, ...]]) -> None:
        """Create the S logits: weight 0.9 for the last input, the rest in equal parts."""
        num = len(input_shape)
        initial = np.zeros(num, np.float32)
        if num > 1:
            initial[-1] = np.log(_LAST * (num - 1) / (1 - _LAST))
        self.logits = self.add_weight(
            shape=(num,), initializer=lambda *_, **__: initial, name="logits"
        )
        self.logits.learning_rate_multiplier = self.learning_rate_multiplier

    def call(self, features: list[tf.Tensor]) -> tf.Tensor:
        """Return the mixture."""
        weights = tf.unstack(tf.nn.softmax(self.logits), len(features))
        return tf.add_n([weight * x for weight, x in zip(weights, features, strict=True)])

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Return the shape of one input."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "learning_rate_multiplier": self.learning_rate_multiplier}
