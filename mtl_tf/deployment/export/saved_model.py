"""Networks as TensorFlow SavedModels, for TF Serving."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.deployment.export.description import KEY
from mtl_tf.deployment.export.serving import INPUT
from mtl_tf.deployment.export.traced import Run, frozen

ENDPOINT = "serve"
_DESCRIPTION = pathlib.Path("assets.extra", f"{KEY}.json")  # the folder TensorFlow leaves alone


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
