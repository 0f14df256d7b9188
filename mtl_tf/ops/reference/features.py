"""References of the ops on feature maps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from mtl_tf.ops.reference.bilinear import bilinear
from mtl_tf.typing import FeatureMaps, TensorLike

if TYPE_CHECKING:
    from mtl_tf.ops.attention_distillation import ChannelSlice


def attention_distillation(
    features: "tf.Tensor | FeatureMaps", gates: Sequence[Any], values: Sequence[Any]
) -> tf.Tensor | list[tf.Tensor]:
    """Features plus messages through gates: `mtl_tf.ops.attention_distillation`."""
    if tf.is_tensor(features):
        return _distill(features, gates, values)
    return [_distill(*target) for target in zip(features, gates, values, strict=True)]


def _distill(feature: tf.Tensor, gates: Sequence[Any], values: Sequence[Any]) -> tf.Tensor:
    channels = feature.shape[-1]
    messages = [
        tf.sigmoid(_channels(gate, channels)) * _channels(value, channels)
        for gate, value in zip(gates, values, strict=True)
    ]
    return tf.add_n([feature, *messages])


def _channels(part: "tf.Tensor | ChannelSlice", channels: int) -> tf.Tensor:
    """Return a tensor, or the channels that a `ChannelSlice` names."""
    if tf.is_tensor(part):
        return part
    return part.source[..., part.first : part.first + channels]


def cross_stitch(features: Sequence[tf.Tensor], weights: tf.Tensor) -> list[tf.Tensor]:
    """Mixtures of K features, `out_i = Σ_j w_ij x_j`.

    Args:
        features: K tensors `[B, H, W, C]` of one shape and dtype.
        weights: `[K, K, C]`, or `[K, K, 1]` for one number a pair.

    Returns:
        K tensors `[B, H, W, C]` in the features' dtype.
    """
    rows = tf.unstack(tf.cast(weights, features[0].dtype), len(features))
    return [
        tf.add_n([factor * x for factor, x in zip(tf.unstack(row), features, strict=True)])
        for row in rows
    ]


def upsample_cross_entropy(
    logits: tf.Tensor, labels: TensorLike, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy of enlarged logits: `mtl_tf.ops.upsample_cross_entropy`."""
    labels = tf.convert_to_tensor(labels)
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels if weights is None else tf.where(weights != 0, labels, tf.zeros_like(labels)),
        _enlarged(logits, labels),
    )
    return _mean(values, weights)


def upsample_l1(
    predictions: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Absolute error of enlarged predictions: `mtl_tf.ops.upsample_l1`."""
    large = _enlarged(predictions, targets)
    if weights is not None:
        targets = tf.where(weights[..., None] != 0, targets, tf.zeros_like(targets))
    return _mean(tf.reduce_mean(tf.abs(large - tf.cast(targets, large.dtype)), axis=-1), weights)


def _enlarged(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    height, width = tf.unstack(tf.shape(targets)[1:3])
    known = targets.shape[1:3]
    if known.is_fully_defined():
        height, width = known
    if predictions.dtype != tf.float64:
        return bilinear(tf.cast(predictions, tf.float32), height, width)
    # TensorFlow resizes in float32 alone.
    rows = _interpolation(predictions.shape[1], height)
    columns = _interpolation(predictions.shape[2], width)
    return tf.einsum("Yy,byxc,Xx->bYXc", rows, predictions, columns)


def _interpolation(small: int, large: int) -> tf.Tensor:
    """`[large, small]` float64: the shares of small positions in large ones."""
    place = (tf.range(large, dtype=tf.float64) + 0.5) * (small / large) - 0.5
    place = tf.clip_by_value(place, 0.0, small - 1.0)
    distance = tf.abs(place[:, None] - tf.range(small, dtype=tf.float64)[None])
    return tf.maximum(1.0 - distance, 0.0)


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    if weights is None:
        return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))
    weights = tf.cast(weights, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def affinity_diffusion(
    queries: Sequence[tf.Tensor], keys: Sequence[tf.Tensor], values: tf.Tensor, mix: tf.Tensor
) -> tf.Tensor:
    """Values mixed by affinities, which are stored: `mtl_tf.ops.affinity_diffusion`."""
    rows = [_positions(x) for x in [*queries, *keys, values]]
    num_sources = len(queries)
    shares = tf.unstack(tf.cast(mix, rows[0].dtype), num_sources)
    affinities = tf.add_n(
        [
            share * tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
            for share, query, key in zip(
                shares, rows[:num_sources], rows[num_sources:-1], strict=True
            )
        ]
    )
    mixed = tf.matmul(affinities, rows[-1])
    return tf.cast(tf.reshape(mixed, tf.shape(values)), values.dtype)


def _positions(x: tf.Tensor) -> tf.Tensor:
    """`[B, H, W, C]` as `[B, H W, C]`, of at least float32."""
    wide = x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
    shape = tf.shape(x)
    return tf.reshape(wide, [shape[0], tf.reduce_prod(shape[1:-1]), x.shape[-1]])
