"""Cross-stitch: the features of K tasks, each a mixture of all of them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mtl_tf.ops import reference


def cross_stitch(features: Sequence[Any], weights: Any) -> list[tf.Tensor]:
    """Mixtures of K features, `out_i = Σ_j w_ij x_j`, per channel.

    Source: Misra et al., "Cross-Stitch Networks for Multi-Task Learning", CVPR 2016, equation 1.

    Args:
        features: K tensors `[B, H, W, C]` of one shape and floating-point dtype.
        weights: `[K, K, C]`, or `[K, K, 1]` for one number a pair.

    Returns:
        K tensors `[B, H, W, C]` in the features' dtype.

    Raises:
        ValueError: if the features differ in shape or dtype, or the weights do not fit them.
    """
    features = [tf.convert_to_tensor(x) for x in features]
    weights = tf.convert_to_tensor(weights)
    if not features:
        raise ValueError("features must hold at least one tensor. Received: none")
    first, num_tasks = features[0], len(features)
    for x in features[1:]:
        if x.dtype != first.dtype or not x.shape.is_compatible_with(first.shape):
            raise ValueError(
                "features must have one shape and dtype. Received: "
                f"{[(tuple(x.shape), x.dtype.name) for x in features]}"
            )
    expected = [num_tasks, num_tasks], (1, first.shape[-1])
    if weights.shape[:2] != expected[0] or weights.shape[2:] not in [(n,) for n in expected[1]]:
        raise ValueError(
            f"weights must be [K, K, C] or [K, K, 1] for K = {num_tasks} features with C = "
            f"{first.shape[-1]} channels. Received: {tuple(weights.shape)}"
        )
    return reference.cross_stitch(features, weights)
