"""An export: what is written, and its comparison with Keras."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.deployment.export import litert_file, onnx_file, saved_model
from mtl_tf.deployment.export.comparison import (
    Difference,
    largest,
    mean,
    precision_difference,
    rounding_difference,
)
from mtl_tf.deployment.export.description import description
from mtl_tf.deployment.export.exported_model import ExportedModel
from mtl_tf.deployment.export.formats import Precision
from mtl_tf.deployment.export.serving import Activated, served_outputs, serving_network
from mtl_tf.deployment.inputs import as_batch, images_for, includes_preprocessing, network_input
from mtl_tf.deployment.windows import resized
from mtl_tf.tasks import Task


@dataclasses.dataclass(frozen=True)
class Job:
    """An export: the network, its tasks, and the options.

    Attributes:
        network: in float32, at the size of the file.
        tasks: its known tasks.
        file_format: a name from `FORMATS`.
        preprocessing: whether the file takes RGB images 0 to 255.
        postprocessing: whether its outputs are activated.
        batch: number of images; `None` for any number.
        any_size: whether it takes images of any size.
        precision: of weights and computation.
    """

    network: keras.Model
    tasks: tuple[Task, ...]
    file_format: str
    preprocessing: bool
    postprocessing: bool
    batch: int | None
    any_size: bool
    precision: Precision

    @functools.cached_property
    def serving(self) -> keras.Model:
        """The network with the steps before and after it, as the file has it."""
        return serving_network(
            self.network,
            self.tasks if self.postprocessing else None,
            preprocessing=self.preprocessing,
            any_size=self.any_size,
        )

    def input_of(self, image: np.ndarray) -> np.ndarray:
        """Return an image of the network's size as the file takes it, in a full batch.

        Where any size is allowed, it has another size and another aspect.
        """
        if self.any_size:
            height, width = image.shape[:2]
            image = resized(image, height + height // 3, 2 * width + 1)
        takes_rgb = self.preprocessing or includes_preprocessing(self.network)
        return np.repeat(as_batch(image, takes_rgb), self.batch or 1, axis=0)


def write(job: Job, path: pathlib.Path, calibration: Sequence[pathlib.Path]) -> None:
    """Write the file with its description.

    Args:
        job: the export.
        path: of the file.
        calibration: image files that define the ranges of int8.
    """
    network = job.serving
    inputs: list[np.ndarray] = []
    if job.precision == "int8":
        inputs = [job.input_of(image) for image in images_for(job.network, calibration)]
    described = description(
        job.network, job.tasks, job.precision, job.preprocessing, job.postprocessing, job.any_size
    )
    text = json.dumps(described, ensure_ascii=False)
    if job.file_format == "savedmodel":
        saved_model.write(network, path, job.batch)
        saved_model.describe(path, text)
    elif job.file_format == "litert":
        litert_file.write(network, path, job.batch, job.precision, inputs)
        litert_file.describe(path, text)
    else:
        onnx_file.write(network, path, job.batch)
        if job.precision == "float16":
            onnx_file.halve(path)
        elif job.precision == "int8":
            onnx_file.quantise(path, inputs)
        onnx_file.describe(path, text)


def differences_to_keras(
    job: Job, exported: ExportedModel, images: Iterable[np.ndarray]
) -> dict[str, Difference]:
    """Return the difference of each output of a file to Keras.

    Args:
        job: the export.
        exported: the file.
        images: RGB `[H, W, 3]` uint8, of the network's size.

    Raises:
        RuntimeError: if a difference is too large.
    """
    reference = _reference(job)
    by_name = {task.name: task for task in job.tasks}
    differences: dict[str, list[float]] = {}
    for image in images:
        x = job.input_of(image)
        received = exported(x)
        for name, output in reference(image, x).items():
            task = by_name.get(name)
            one, other = np.asarray(output), received[name]
            if job.precision == "float32":
                difference = rounding_difference(name, one, other)
            else:
                if task is not None and not job.postprocessing:
                    one, other = (np.asarray(Activated(task)(y)) for y in (one, other))
                difference = precision_difference(name, task, one, other)
            differences.setdefault(name, []).append(difference)
    if job.precision == "float32":
        return {name: largest(values) for name, values in differences.items()}
    return {name: mean(values, by_name.get(name)) for name, values in differences.items()}


def _reference(job: Job) -> Callable[[np.ndarray, np.ndarray], dict[str, tf.Tensor]]:
    """Return a function of an image, and of the same as input of the file, to Keras' outputs."""
    if job.postprocessing or job.any_size:
        network = job.serving
        return lambda _image, x: network(x, training=False)
    names = served_outputs(job.network, job.tasks)

    def original(image: np.ndarray, x: np.ndarray) -> dict[str, tf.Tensor]:
        one = network_input(job.network, image)
        outputs = job.network(np.repeat(one, len(x), axis=0), training=False)
        return {name: outputs[name] for name in names}

    return original
