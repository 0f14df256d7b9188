"""Exported files, run in their own runtime."""

import functools
import json
import os
import pathlib
from typing import Any

import numpy as np

from mtl_tf.deployment.export import litert_file, onnx_file, saved_model
from mtl_tf.deployment.export.formats import format_of_existing
from mtl_tf.text import first_line, shown

_MODULES = {"savedmodel": saved_model, "onnx": onnx_file, "litert": litert_file}


class ExportedModel:
    """A network in a SavedModel, an ONNX or a LiteRT file, run in its own runtime.

    Source: this library.

    Args:
        path: a file of `export_model`, or another with the input `image`.
        threads: of the runtime; `None` for its own choice. A SavedModel has those of TensorFlow.

    Attributes:
        file_format: `"savedmodel"`, `"onnx"` or `"litert"`.
        input_shape: `(B, H, W, 3)`, `None` where any number is allowed.
        path: of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or of another format.
        ImportError: if its runtime is not installed.

    Examples:
        >>> import mtl_tf as mtl, pathlib, tempfile
        >>> tasks, size = {"depth": 1}, (32, 32, 3)
        >>> network = mtl.architectures.SharedTrunk("resnet18", tasks, size, head="conv")
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.tflite")
        >>> _ = mtl.deployment.export_model(network, path, with_postprocessing=True)
        >>> model = ExportedModel(path)
        >>> model(np.zeros((1, 32, 32, 3), np.float32))["depth"].shape
        (1, 32, 32)
        >>> model.description["outputs"]["depth"]["values"]
        'metres'
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        path = pathlib.Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{shown(path)} is missing: give a file of mtl-tf export")
        self.path, self.file_format = path, format_of_existing(path)
        self._module: Any = _MODULES[self.file_format]
        try:
            self.input_shape, self._run = self._module.load(path, threads)
        except ImportError:
            raise
        except Exception as error:  # runtimes raise many kinds
            raise ValueError(
                f"{shown(path)} cannot be loaded as {self.file_format}: {first_line(error)}"
            ) from error

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """Input, outputs, classes and precision; empty for a file that does not say."""
        stored = self._module.read_description(self.path)
        return json.loads(stored) if stored else {}

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            images: `[B, H, W, 3]`, values as `description["input"]["values"]` says; converted to
                float32.

        Returns:
            `{task: output}`.

        Raises:
            ValueError: for images of another shape.
        """
        images = np.ascontiguousarray(images, np.float32)
        fits = len(images.shape) == 4 and all(
            n in (None, given) for n, given in zip(self.input_shape, images.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"images must be {list(self.input_shape)} (None: any number). "
                f"Received: {list(images.shape)}"
            )
        return self._run(images)
