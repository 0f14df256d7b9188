"""Networks as LiteRT files (`.tflite`), in float32, float16 or int8, and run by its interpreter."""

import importlib
import pathlib
import warnings
from collections.abc import Sequence
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.deployment.export.description import KEY
from mtl_tf.deployment.export.serving import INPUT
from mtl_tf.deployment.export.traced import Run, frozen
from mtl_tf.optional_packages import optional_import


def write(
    network: keras.Model,
    path: pathlib.Path,
    batch: int | None = None,
    precision: str = "float32",
    calibration: Sequence[np.ndarray] = (),
) -> None:
    """Write a network as a LiteRT file with one signature.

    Args:
        network: as `serving_network` returns it.
        path: of the file.
        batch: number of images; `None` for any number.
        precision: of weights and computation; input and outputs stay float32. `"int8"` has a scale
            for each channel of the weights.
        calibration: inputs `[1, H, W, 3]` whose activations define the ranges of int8.
    """
    forward = frozen(network, batch)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([forward], tf.Module())
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([image] for image in calibration)
    path.write_bytes(converter.convert())


def describe(path: pathlib.Path, description: str) -> None:
    """Store a description in the metadata of a file."""
    schema, buffers = _schema()
    model = buffers.read_model(str(path))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(description.encode(), np.uint8)
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    buffers.write_model(model, str(path))


def read_description(path: pathlib.Path) -> str | None:
    """Return the description in a file, if it has one."""
    _, buffers = _schema()
    model = buffers.read_model(str(path))
    for entry in model.metadata or []:
        if entry.name == KEY.encode():
            return bytes(model.buffers[entry.buffer].data).decode()
    return None


def load(path: pathlib.Path, threads: int | None) -> tuple[tuple[int | None, ...], Run]:
    """Return the shape of the input of a file, and a function that runs it."""
    interpreter = _interpreter(path, threads)
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()[INPUT]
    signature = details.get("shape_signature", details["shape"])

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return runner(**{INPUT: images})

    return tuple(int(n) if n > 0 else None for n in signature), run


def _interpreter(path: pathlib.Path, threads: int | None) -> tf.lite.Interpreter:
    """Return the interpreter of ai-edge-litert if it is installed, else that of TensorFlow."""
    try:
        package = optional_import("ai_edge_litert.interpreter", "Running a LiteRT file")
    except ImportError:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\s*Warning. tf\.lite\.Interpreter is deprecated")
            return tf.lite.Interpreter(str(path), num_threads=threads)
    return package.Interpreter(str(path), num_threads=threads)


def _schema() -> tuple[ModuleType, ModuleType]:
    """Return TensorFlow's modules of the file's format: its schema, and reading and writing."""
    schema = importlib.import_module("tensorflow.lite.python.schema_py_generated")
    return schema, importlib.import_module("tensorflow.lite.tools.flatbuffer_utils")
