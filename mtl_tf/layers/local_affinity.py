"""Affinities of each position with a window around it, and diffusion along them."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


class _Window(keras.layers.Layer):
    """Base of layers on a window of `size` x `size` positions, `dilation` apart, around each."""

    def __init__(self, size: int = 5, dilation: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size % 2 == 0:
            raise ValueError(f"size must be odd. Received: {size}")
        self.size = size
        self.dilation = dilation

    def neighbours(self, x: tf.Tensor) -> Iterator[tf.Tensor]:
        """Yield `x` `[B, h, w, C]` shifted to each position of the window, padded by zeros."""
        reach = self.dilation * (self.size // 2)
        height, width = x.shape[1:3]
        padded = tf.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
        for i in range(0, 2 * reach + 1, self.dilation):
            for j in range(0, 2 * reach + 1, self.dilation):
                yield padded[:, i : i + height, j : j + width]

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "size": self.size, "dilation": self.dilation}


@keras.saving.register_keras_serializable(package="mtl_tf")
class LocalAffinity(_Window):
    """`a_pq = softmax_q(<queries_p, keys_q> / sqrt(D))` over the window around each position.

    where q runs over the `size²` positions of the window around position p; those beyond the border
    have affinity 0.

    Source: the pattern structures of Zhou et al., "Pattern-Structure Diffusion for Multi-Task
    Learning", CVPR 2020, section 3.2.

    Args:
        size: height and width of the window, odd.
        dilation: spacing of its positions.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `queries` and `keys` `[B, h, w, D]`. Returns `[B, h, w, size²]`.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> x = keras.ops.ones((1, 4, 4, 2))
        >>> mtl.layers.LocalAffinity(size=3)(x, x).shape
        TensorShape([1, 4, 4, 9])
    """

    def call(self, queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Return the affinities."""
        scores = [tf.reduce_sum(queries * y, axis=-1) for y in self.neighbours(keys)]
        inside = tf.concat(list(self.neighbours(tf.ones_like(keys[:, :, :, :1]))), axis=-1)
        scores = tf.stack(scores, axis=-1) / tf.sqrt(tf.cast(queries.shape[-1], queries.dtype))
        lowest = tf.constant(-1e4, scores.dtype)
        return tf.nn.softmax(tf.where(inside > 0, scores, lowest))

    def compute_output_shape(
        self, queries_shape: tuple[int | None, ...], keys_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Return `(B, h, w, size²)`."""
        return (*queries_shape[:-1], self.size**2)


@keras.saving.register_keras_serializable(package="mtl_tf")
class LocalDiffusion(_Window):
    """`y_p = Σ_q a_pq x_q` over the window around each position.

    where q runs over the `size²` positions of the window around position p, `a_pq` is the affinity
    of p with q, and `x_q` are the features at q.

    Source: as `LocalAffinity`.

    Args:
        size: height and width of the window, odd.
        dilation: spacing of its positions.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: `affinities` `[B, h, w, size²]` and `features` `[B, h, w, C]`. Returns
    `[B, h, w, C]`.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> layer = mtl.layers.LocalDiffusion(size=3)
        >>> layer(keras.ops.ones((1, 4, 4, 9)), keras.ops.ones((1, 4, 4, 2))).shape
        TensorShape([1, 4, 4, 2])
    """

    def call(self, affinities: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """Return the diffused features."""
        shares = tf.split(affinities, self.size**2, axis=-1)
        return tf.add_n([a * y for a, y in zip(shares, self.neighbours(features), strict=True)])

    def compute_output_shape(
        self, affinities_shape: tuple[int | None, ...], features_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Return the shape of the features."""
        return features_shape
