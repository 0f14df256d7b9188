"""Subspace mixing: the exchange unit of sluice networks."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.layers.sharing.cross_stitch_unit import identity_like

_SUBSPACES = 2


def subspace_penalty(features: tf.Tensor) -> tf.Tensor:
    """Return `||G₁ᵀ G₂||_F²`, 0 if the two subspaces are orthogonal.

    where `G₁` and `G₂` `[B h w, C / 2]` are the two halves of the channels.

    Source: Ruder et al., AAAI 2019, equation 4; scaled by `1 / (B h w)²` to be independent of the
    batch size.

    Args:
        features: `[B, h, w, C]` floating point, C even.

    Returns:
        Scalar float32.
    """
    flat = tf.reshape(tf.cast(features, tf.float32), [-1, features.shape[-1]])
    first, second = tf.split(flat, _SUBSPACES, axis=-1)
    count = tf.cast(tf.shape(flat)[0], tf.float32)
    return tf.reduce_sum(tf.square(tf.matmul(first, second, transpose_a=True) / count))


@keras.saving.register_keras_serializable(package="mtl_tf")
class SubspaceMixing(keras.layers.Layer):
    """`y_i = Σ_j w_ij x_j` over all 2K subspaces, two for each of K tasks.

    where `x_j` is the j-th subspace, half of the channels of a task's features, and `w_ij` is the
    learned weight of subspace j for subspace i.

    Source: Ruder et al., "Latent Multi-Task Architecture Learning", AAAI 2019, equation 2.

    Args:
        own: initial weight of the subspace itself; the others share `1 - own`.
        penalty: weight of the loss that keeps the two subspaces of a task orthogonal.
        learning_rate_multiplier: multiplier of the learning rate of the weights.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`, C even. Returns such a list.

    Raises:
        ValueError: for an odd number of channels, when built.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> mtl.layers.SubspaceMixing()([keras.ops.ones((1, 4, 4, 8))] * 2)[0].shape
        TensorShape([1, 4, 4, 8])
    """

    def __init__(
        self,
        own: float = 0.9,
        *,
        penalty: float = 1e-3,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own = own
        self.penalty = penalty
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, input_shape: Sequence[tuple[int, ...]]) -> None:
        """Create the weights `[2K, 2K, 1]`."""
        if any(shape[-1] % _SUBSPACES for shape in input_shape):
            raise ValueError(f"Subspaces need an even number of channels. Received: {input_shape}")
        initial = identity_like(_SUBSPACES * len(input_shape), self.own)[:, :, None]
        self.mixing = self.add_weight(
            shape=initial.shape, initializer=lambda *_, **__: initial, name="mixing"
        )
        self.mixing.learning_rate_multiplier = self.learning_rate_multiplier

    def call(self, features: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the mixed features."""
        if self.penalty:
            self.add_loss(self.penalty * tf.add_n([subspace_penalty(x) for x in features]))
        subspaces = [half for x in features for half in tf.split(x, _SUBSPACES, axis=-1)]
        mixed = ops.cross_stitch(subspaces, self.mixing)
        pairs = zip(mixed[::_SUBSPACES], mixed[1::_SUBSPACES], strict=True)
        return [tf.concat(pair, axis=-1) for pair in pairs]

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the input."""
        return list(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {
            **super().get_config(),
            "own": self.own,
            "penalty": self.penalty,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
