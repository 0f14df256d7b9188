"""Softmax mixture: a learned convex combination of features of one shape."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LAST = 0.9


@keras.saving.register_keras_serializable(package="mtl_tf")
class SoftmaxMixture(keras.layers.Layer):
    """`Σ_s softmax(β)_s x_s`; at first mostly the last of them.

    Source: the skip connections of Ruder et al., "Latent Multi-Task Architecture Learning",
    AAAI 2019, equation 3.

    Args:
        learning_rate_multiplier: how many times faster than the rest the weights learn.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of S features of one shape. Returns one of that shape.
    """

    def __init__(self, learning_rate_multiplier: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, input_shape: Any) -> None:
        """Makes the S logits: weight 0.9 for the last, the rest in equal parts."""
        num = len(input_shape)
        start = np.zeros(num, np.float32)
        if num > 1:
            start[-1] = np.log(_LAST * (num - 1) / (1 - _LAST))
        self.logits = self.add_weight(
            shape=(num,), initializer=lambda shape, dtype: start, name="logits"
        )
        self.logits.learning_rate_multiplier = self.learning_rate_multiplier

    def call(self, features: Any) -> Any:
        """The mixture."""
        weights = tf.unstack(tf.nn.softmax(self.logits), len(features))
        return tf.add_n([weight * x for weight, x in zip(weights, features, strict=True)])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of one input."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            **super().get_config(),
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
