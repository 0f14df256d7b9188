"""References of the ops on feature maps."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def attention_distillation(features: Any, gates: Any, values: Any) -> Any:
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


def _channels(part: Any, channels: int) -> tf.Tensor:
    """A tensor, or the channels that a `ChannelSlice` names."""
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
