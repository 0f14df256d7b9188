"""References of the feature ops."""

from collections.abc import Sequence

import tensorflow as tf


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
