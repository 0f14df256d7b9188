"""Affinity propagation: features diffused along the affinities of several tasks."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import ops

_BETA = 0.05


@keras.saving.register_keras_serializable(package="mtl_tf")
class AffinityPropagation(keras.layers.Layer):
    """`x_t ← β_t Σ_s w_ts softmax(e_s e_sᵀ) x_t + (1 - β_t) x_t`, repeated `steps` times.

    where:

    - `x_t` `[N, C]` are the features of task t at the `N = h w` positions;
    - `e_s` `[N, D]` are the L2-normalised embeddings of task s, `e_s e_sᵀ` its affinities;
    - `w_ts` weighs them: a softmax over s of learned logits, initially uniform;
    - `β_t` in (0, 1) is the learned step size, initially 0.05.

    The N x N affinities are never stored: see `mtl_tf.ops.affinity_diffusion`.

    Source: Zhang et al., "Pattern-Affinitive Propagation", CVPR 2019, equations 2 to 5.

    Args:
        steps: number of diffusion steps.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `embeddings`, a list of S tensors `[B, h, w, D]`, normalised here, and
    `features`, a list of T tensors `[B, h, w, C]`. Returns a list like the second.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> embeddings = [keras.ops.ones((1, 4, 4, 2))] * 2
        >>> features = [keras.ops.ones((1, 4, 4, 8))]
        >>> mtl.layers.AffinityPropagation(steps=1)(embeddings, features)[0].shape
        TensorShape([1, 4, 4, 8])
    """

    def __init__(self, steps: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps

    def build(
        self,
        embeddings_shape: Sequence[tuple[int | None, ...]],
        features_shape: Sequence[tuple[int | None, ...]],
    ) -> None:
        """Create the logits of w `[T, S]` and of β `[T]`."""
        shape = (len(features_shape), len(embeddings_shape))
        logit = keras.initializers.Constant(-float(tf.math.log(1 / _BETA - 1)))
        self.mixing = self.add_weight(shape=shape, initializer="zeros", name="mixing")
        self.beta = self.add_weight(shape=shape[:1], initializer=logit, name="beta")

    def call(self, embeddings: list[tf.Tensor], features: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the diffused features."""
        unit = [tf.math.l2_normalize(x, axis=-1) for x in embeddings]
        mixing = tf.nn.softmax(tf.convert_to_tensor(self.mixing))
        betas = tf.unstack(tf.sigmoid(tf.convert_to_tensor(self.beta)), len(features))
        outputs = []
        for t, x in enumerate(features):
            for _ in range(self.steps):
                diffused = ops.affinity_diffusion(unit, unit, x, mixing[t])
                x = x + tf.cast(betas[t], x.dtype) * (diffused - x)
            outputs.append(x)
        return outputs

    def compute_output_shape(
        self,
        embeddings_shape: Sequence[tuple[int | None, ...]],
        features_shape: Sequence[tuple[int | None, ...]],
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the features."""
        return list(features_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "steps": self.steps}
