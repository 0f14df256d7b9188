"""Cross-stitch: the features of K tasks, each a mixture of all of them."""

from collections.abc import Sequence

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._features import check_maps, differentiate_twice
from mtl_tf.ops._gradients import NATIVE_DTYPES
from mtl_tf.typing import TensorLike

_MAX_NATIVE_TASKS = 6


def cross_stitch(features: Sequence[TensorLike], weights: TensorLike) -> list[tf.Tensor]:
    """Mixtures of K features, `out_i = Σ_j w_ij x_j`, per channel.

    Reads and writes each map once, its gradient as well.

    Source: Misra et al., "Cross-Stitch Networks for Multi-Task Learning", CVPR 2016, equation 1.

    Args:
        features: K tensors `[B, H, W, C]` of one shape and floating-point dtype.
        weights: `[K, K, C]`, or `[K, K, 1]` or `[K, K]` for one number a pair.

    Returns:
        K tensors `[B, H, W, C]` in the features' dtype, added in float32 (float64 features in
        float64).

    Raises:
        ValueError: if the features differ in shape or dtype, or the weights do not fit them.
    """
    features = check_maps("features", features)
    weights = tf.convert_to_tensor(weights)
    num_tasks, channels = len(features), features[0].shape[-1]
    if weights.shape.rank == 2:
        weights = weights[:, :, None]
    if weights.shape[:2] != [num_tasks, num_tasks] or weights.shape[2:] not in ([1], [channels]):
        raise ValueError(
            f"weights must be [K, K, C], [K, K, 1] or [K, K] for K = {num_tasks} features with "
            f"C = {channels} channels. Received: {tuple(weights.shape)}"
        )
    library = _library.tensorflow_ops()
    if library is None or features[0].dtype not in NATIVE_DTYPES or num_tasks > _MAX_NATIVE_TASKS:
        return reference.cross_stitch(features, weights)
    weights = tf.broadcast_to(tf.cast(weights, tf.float32), [num_tasks, num_tasks, channels])
    return library.mtl_cross_stitch(features=features, weights=weights)


@tf.RegisterGradient("Mtl>CrossStitch")
def _gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor]:
    features, weights = list(op.inputs)[:-1], op.inputs[-1]
    gradients, of_weights = _library.loaded_ops().mtl_cross_stitch_grad(
        features=features, upstream=upstream, weights=weights
    )
    return [*gradients, of_weights]


@tf.RegisterGradient("Mtl>CrossStitchGrad")
def _gradient_of_gradient(op: tf.Operation, *vectors: tf.Tensor) -> list[tf.Tensor]:
    num_tasks = op.get_attr("num_tasks")
    inputs = list(op.inputs)
    of_upstream, of_inputs = differentiate_twice(
        lambda *parts: reference.cross_stitch(parts[:-1], parts[-1]),
        [*inputs[:num_tasks], inputs[-1]],
        inputs[num_tasks:-1],
        vectors,
    )
    return [*of_inputs[:-1], *of_upstream, of_inputs[-1]]
