"""The learned exponents of Uncertainty and IMTL-L: one trainable number per task, within ±10."""

import keras
from keras import ops

from mtl_tf.typing import Tensor

LIMIT = 10.0


def check_initial(value: float, name: str) -> None:
    """`ValueError` if a start value is beyond the limit."""
    if not abs(value) <= LIMIT:
        raise ValueError(f"{name} must be within ±{LIMIT:g}. Received: {value}")


def add_exponents(
    layer: keras.layers.Layer, num_tasks: int, name: str, initial: float
) -> keras.Variable:
    """Create a trainable weight `[K]` of `layer`, constrained to ±10 for losses near 0."""
    return layer.add_weight(
        shape=(num_tasks,),
        initializer=keras.initializers.Constant(initial),
        constraint=_clipped,
        name=name,
    )


def _clipped(exponents: Tensor) -> Tensor:
    return ops.clip(exponents, -LIMIT, LIMIT)
