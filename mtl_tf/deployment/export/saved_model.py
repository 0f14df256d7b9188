"""Networks as TensorFlow SavedModels: for TF Serving, and as the source of the other formats."""

import importlib
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.deployment.export.description import KEY
from mtl_tf.deployment.export.serving import INPUT

ENDPOINT = "serve"
_DESCRIPTION = pathlib.Path("assets.extra", f"{KEY}.json")  # the folder TensorFlow leaves alone

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


def write(network: keras.Model, path: pathlib.Path, batch: int | None = None) -> None:
    """Write a network as a SavedModel with the signature `serve`, without custom ops.

    Args:
        network: as `serving_network` returns it.
        path: of the folder.
        batch: number of images; `None` for any number.
    """
    tf.saved_model.save(tf.Module(), str(path), signatures={ENDPOINT: frozen(network, batch)})


def describe(path: pathlib.Path, description: str) -> None:
    """Store a description in a SavedModel."""
    file = path / _DESCRIPTION
    file.parent.mkdir(exist_ok=True)
    file.write_text(description, "utf-8")


def read_description(path: pathlib.Path) -> str | None:
    """Return the description in a SavedModel as text, if it has one."""
    file = path / _DESCRIPTION
    return file.read_text("utf-8") if file.is_file() else None


def load(path: pathlib.Path, _threads: int | None) -> tuple[tuple[int | None, ...], Run]:
    """Return the shape of the input of a SavedModel, and a function that runs it."""
    saved = tf.saved_model.load(str(path))
    serve = saved.signatures[ENDPOINT]
    spec = serve.structured_input_signature[1][INPUT]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = serve(**{INPUT: tf.constant(images)})
        return {name: np.asarray(output) for name, output in outputs.items()}

    run.keeps = saved  # type: ignore[attr-defined]  # the variables live as long as it does
    return tuple(spec.shape), run
