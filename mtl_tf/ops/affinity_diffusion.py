"""Affinity diffusion: every position becomes a mixture of those that look like it to some task."""

from collections.abc import Sequence

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._features import check_maps, differentiate_twice
from mtl_tf.ops._gradients import NATIVE_DTYPES
from mtl_tf.typing import TensorLike

_MAX_NATIVE_SOURCES = 16


def affinity_diffusion(
    queries: Sequence[TensorLike], keys: Sequence[TensorLike], values: TensorLike, mix: TensorLike
) -> tf.Tensor:
    """Values mixed by affinities, `Σ_s mix_s softmax(Q_s K_sᵀ) V` over all N positions of an image.

    The N x N affinities are never stored: 128 queries at a time see their rows of them (on a GPU,
    blocks of threads a tile each, with tensor cores for 16-bit tensors).

    Source: Zhang et al., "Pattern-Affinitive Propagation", CVPR 2019, equations 2 to 5.

    Args:
        queries: S tensors `[B, H, W, D]` of one shape and dtype; normalise them for cosines.
        keys: S tensors like the queries; often the queries themselves.
        values: `[B, H, W, C]` of that dtype.
        mix: `[S]`, the shares of the sources' affinities.

    Returns:
        `[B, H, W, C]` in the values' dtype, computed in float32 (float64 in float64).

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    queries, keys = check_maps("queries", queries), check_maps("keys", keys)
    values, mix = tf.convert_to_tensor(values), tf.convert_to_tensor(mix)
    if len(queries) != len(keys):
        raise ValueError(
            f"queries and keys must be as many. Received: {len(queries)} and {len(keys)}"
        )
    first = queries[0]
    if first.shape.rank is None or first.shape.rank < 2:
        raise ValueError(f"queries must be [B, H, W, D]. Received: {first.shape}")
    fits = keys[0].dtype == values.dtype == first.dtype
    fits = fits and keys[0].shape.is_compatible_with(first.shape)
    if not fits or not values.shape[:-1].is_compatible_with(first.shape[:-1]):
        raise ValueError(
            "keys must have the queries' shape, values the same but for the channels, all one "
            f"dtype. Received: queries {tuple(first.shape)} of {first.dtype.name}, keys "
            f"{tuple(keys[0].shape)} of {keys[0].dtype.name}, values {tuple(values.shape)} of "
            f"{values.dtype.name}"
        )
    if not mix.shape.is_compatible_with([len(queries)]):
        raise ValueError(
            f"mix must have shape [{len(queries)}], one number per source. Received: {mix.shape}"
        )
    library = _library.tensorflow_ops()
    is_native = first.dtype in NATIVE_DTYPES and len(queries) <= _MAX_NATIVE_SOURCES
    if library is None or not is_native:
        return reference.affinity_diffusion(queries, keys, values, mix)
    return library.mtl_affinity_diffusion(
        queries=queries, keys=keys, values=values, mix=tf.cast(mix, tf.float32)
    ).results


@tf.RegisterGradient("Mtl>AffinityDiffusion")
def _gradient(op: tf.Operation, upstream: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
    queries, keys, values, mix = _parts(op.inputs, op.get_attr("num_sources"))
    gradients = _library.loaded_ops().mtl_affinity_diffusion_grad(
        queries=queries, keys=keys, values=values, mix=mix, softmax=op.outputs[1], upstream=upstream
    )
    return [
        *gradients.query_gradients,
        *gradients.key_gradients,
        gradients.value_gradients,
        gradients.mix_gradients,
    ]


@tf.RegisterGradient("Mtl>AffinityDiffusionGrad")
def _gradient_of_gradient(op: tf.Operation, *vectors: tf.Tensor) -> list[tf.Tensor | None]:
    num_sources = op.get_attr("num_sources")
    inputs = list(op.inputs)
    of_upstream, of_inputs = differentiate_twice(
        lambda *parts: [reference.affinity_diffusion(*_parts(parts, num_sources))],
        inputs[:-2],
        inputs[-1:],
        vectors,
    )
    return [*of_inputs, None, *of_upstream]


def _parts(
    inputs: Sequence[tf.Tensor], num_sources: int
) -> tuple[list[tf.Tensor], list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Return queries, keys, values and mix."""
    tensors = list(inputs)
    values, mix = tensors[2 * num_sources : 2 * num_sources + 2]
    return tensors[:num_sources], tensors[num_sources : 2 * num_sources], values, mix
