"""Export of models to SavedModel, ONNX and LiteRT, each checked against Keras."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.deployment import inputs
from mtl_tf.deployment.inputs import images_for, network_input
from mtl_tf.optional_packages import optional_import

FORMATS = {"savedmodel": "tf_saved_model", "onnx": "onnx", "litert": "litert"}
"""Names of the formats, and their names in Keras."""
SUFFIXES = {".onnx": "onnx", ".tflite": "litert", "": "savedmodel"}
"""Formats by suffix of the file; a SavedModel is a folder without a suffix."""
_PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime")}


def export_model(
    model: keras.Model,
    out: str | os.PathLike[str],
    file_format: str | None = None,
    with_preprocessing: bool = False,
    photos: Sequence[str | os.PathLike[str]] = (),
) -> dict[str, float]:
    """Export a model, run the exported file, and compare the outputs with Keras.

    Tasks are named outputs; the file contains none of this library's ops.

    Source: this library.

    Args:
        model: an architecture of `mtl_tf.architectures`, or any functional model with a dictionary
            of outputs.
        out: path of the file (`savedmodel`: of the folder).
        file_format: `"savedmodel"`, `"onnx"` (needs the extra `export`) or `"litert"`; `None` takes
            it from the suffix of `out`: `.onnx`, `.tflite`, or none for a SavedModel.
        with_preprocessing: take RGB images `[B, H, W, 3]` of numbers 0 to 255 instead of normalised
            ones; a model that includes its preprocessing always does.
        photos: image files to compare on; by default a rendered room.

    Returns:
        `{task: maximum absolute difference to Keras}` over the images, in the unit of the raw
        prediction.

    Raises:
        ValueError: for an unknown format or suffix, or if `out` is a folder.
        ImportError: if the format needs a package that is not installed.
        DataError: if a photograph is missing or damaged.
        RuntimeError: if the outputs differ by more than 1e-3 of their standard deviation; nothing
            is written then.
    """
    out = pathlib.Path(out)
    if file_format is None:
        file_format = _format_of(out)
    if file_format not in FORMATS:
        raise ValueError(f"file_format must be one of {list(FORMATS)}. Received: {file_format!r}")
    for package in _PACKAGES.get(file_format, ()):
        optional_import(package, f"Export to {file_format}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder that exists: choose another name")
    images = images_for(model, photos)
    exported = inputs.with_preprocessing(model) if with_preprocessing else model
    exported(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras needs a call to export
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unfinished = pathlib.Path(folder) / out.name
        with ops.portable():
            exported.export(str(unfinished), format=FORMATS[file_format], verbose=False)
        run = functools.partial(_RUNNERS[file_format], unfinished)
        differences = _differences(model, run, images, with_preprocessing)
        unfinished.replace(out)
    return differences


def _format_of(out: pathlib.Path) -> str:
    """Return the format of a file by its suffix."""
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"The suffix of {out.name} is no format: use .onnx or .tflite, or give "
            f"file_format (--format), one of {list(FORMATS)}"
        )
    return SUFFIXES[out.suffix.lower()]


def _differences(
    model: keras.Model,
    run: Callable[[np.ndarray, list[str]], dict[str, Any]],
    images: Sequence[np.ndarray],
    with_preprocessing: bool,
) -> dict[str, float]:
    """Return the maximum difference of each task; raise `RuntimeError` if one is too large."""
    differences = dict.fromkeys(model.output, 0.0)
    for image in images:
        own_input = network_input(model, image)
        raw_input = image[None].astype(np.float32)
        outputs = run(raw_input if with_preprocessing else own_input, sorted(differences))
        for task, expected in model(own_input, training=False).items():
            difference = float(np.abs(outputs[task] - np.asarray(expected)).max())
            differences[task] = max(differences[task], difference)
            if not difference <= 1e-3 * float(np.std(expected)):
                raise RuntimeError(
                    f"{task} differs from Keras by {difference:g}, its standard deviation is "
                    f"{np.std(expected):g}: nothing was written"
                )
    return differences


def _run_saved_model(path: pathlib.Path, image: np.ndarray, tasks: list[str]) -> dict[str, Any]:
    saved = tf.saved_model.load(str(path))
    outputs = saved.serve(image)
    return {task: np.asarray(outputs[task]) for task in tasks}


def _run_onnx(path: pathlib.Path, image: np.ndarray, tasks: list[str]) -> dict[str, Any]:
    session = optional_import("onnxruntime", "Checking an ONNX file").InferenceSession(str(path))
    outputs = session.run(tasks, {session.get_inputs()[0].name: image})
    return dict(zip(tasks, outputs, strict=True))


def _run_litert(path: pathlib.Path, image: np.ndarray, _tasks: list[str]) -> dict[str, Any]:
    interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()
    return runner(**{name: image})


_RUNNERS = {"savedmodel": _run_saved_model, "onnx": _run_onnx, "litert": _run_litert}
