"""Affinity propagation: features diffused along what several tasks hold to be alike."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf import ops

_BETA = 0.05


@keras.saving.register_keras_serializable(package="mtl_tf")
class AffinityPropagation(keras.layers.Layer):
    """`x_t ← β_t Σ_s w_ts softmax(e_s e_sᵀ) x_t + (1 - β_t) x_t`, a few times.

    The weights w of the tasks' affinities are a softmax of learned numbers, equal at first; β is
    learned in (0, 1), 0.05 at first. The N x N affinities are never stored: see
    `mtl_tf.ops.affinity_diffusion`.

    Source: Zhang et al., "Pattern-Affinitive Propagation", CVPR 2019, equations 2 to 5.

    Args:
        steps: how many times.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `embeddings`, a list of S tensors `[B, h, w, D]`, normalised here, and
    `features`, a list of T tensors `[B, h, w, C]`. Returns a list like the second.
    """

    def __init__(self, steps: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, embeddings_shape: Any, features_shape: Any) -> None:
        """Makes the logits of w `[T, S]` and of β `[T]`."""
        shape = (len(features_shape), len(embeddings_shape))
        start = keras.initializers.Constant(-float(tf.math.log(1 / _BETA - 1)))
        self.mixing = self.add_weight(shape=shape, initializer="zeros", name="mixing")
        self.beta = self.add_weight(shape=shape[:1], initializer=start, name="beta")

    def call(self, embeddings: Any, features: Any) -> Any:
        """The diffused features."""
        alike = [tf.math.l2_normalize(x, axis=-1) for x in embeddings]
        mixing = tf.nn.softmax(tf.convert_to_tensor(self.mixing))
        betas = tf.unstack(tf.sigmoid(tf.convert_to_tensor(self.beta)), len(features))
        found = []
        for t, x in enumerate(features):
            for _ in range(self.steps):
                diffused = ops.affinity_diffusion(alike, alike, x, mixing[t])
                x = x + tf.cast(betas[t], x.dtype) * (diffused - x)
            found.append(x)
        return found

    def compute_output_shape(self, embeddings_shape: Any, features_shape: Any) -> Any:
        """The shapes of the features."""
        return list(features_shape)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "steps": self.steps}
