"""The forward pass of a network as a TensorFlow function, the source of every format."""

import importlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.deployment.export.serving import INPUT

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Function from images `[B, H, W, 3]` to the outputs by name."""


def signature(network: keras.Model, batch: int | None) -> tf.TensorSpec:
    """Return shape, dtype and name of the input of a network in a file.

    Args:
        network: a functional model.
        batch: number of images; `None` for any number.
    """
    return tf.TensorSpec((batch, *network.input_shape[1:]), tf.float32, name=INPUT)


def forward(network: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the forward pass of a network as a function of the argument `image`."""

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(image, training=False)

    return predict


def frozen(
    network: keras.Model, batch: int | None = None
) -> tf.types.experimental.ConcreteFunction:
    """Return the forward pass with the weights as constants, without custom ops.

    Args:
        network: as `serving_network` returns it.
        batch: number of images; `None` for any number.
    """
    spec = signature(network, batch)
    with ops.portable():
        traced = tf.function(forward(network), input_signature=[spec]).get_concrete_function()
    freezing = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    constants = freezing.convert_variables_to_constants_v2(traced)
    names = sorted(traced.structured_outputs)  # in the order of TensorFlow's flat outputs

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, constants(image), strict=True))

    return tf.function(predict, input_signature=[spec]).get_concrete_function()
