"""Base of the ops on feature maps: checks, and second gradients by the reference."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from mtl_tf.typing import TensorLike


def check_maps(name: str, maps: Sequence[TensorLike]) -> list[tf.Tensor]:
    """Return `maps` as tensors.

    Raises:
        ValueError: if there is none, or they differ in shape or dtype, or are not floating point.
    """
    tensors = [tf.convert_to_tensor(x) for x in maps]
    if not tensors:
        raise ValueError(f"{name} must hold at least one tensor. Received: none")
    first = tensors[0]
    for x in tensors:
        if x.dtype != first.dtype or not x.shape.is_compatible_with(first.shape):
            raise ValueError(
                f"{name} must have one shape and dtype. Received: "
                f"{[(tuple(x.shape), x.dtype.name) for x in tensors]}"
            )
    if not first.dtype.is_floating:
        raise ValueError(f"{name} must be floating point. Received: {first.dtype.name}")
    return tensors


def differentiate_twice(
    function: Callable[..., Sequence[tf.Tensor]],
    inputs: Sequence[tf.Tensor],
    upstream: Sequence[tf.Tensor],
    vectors: Sequence[tf.Tensor],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Return the gradient of a gradient, by TensorFlow's own ops.

    Args:
        function: inputs to results.
        inputs: what it is differentiated by.
        upstream: gradients of the results.
        vectors: gradients of the inputs' gradients.

    Returns:
        The gradients of `upstream` and of `inputs`.
    """
    with tf.GradientTape() as outer:
        outer.watch([*inputs, *upstream])
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            results = function(*inputs)
        gradients = inner.gradient(results, inputs, output_gradients=upstream)
    gradients = outer.gradient(
        gradients,
        [*upstream, *inputs],
        output_gradients=vectors,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return gradients[: len(upstream)], gradients[len(upstream) :]
