"""Export of networks to SavedModel, ONNX and LiteRT, each compared with Keras."""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from mtl_tf.deployment.export import litert_file, onnx_file, saved_model
from mtl_tf.deployment.export.comparison import Difference, largest_difference, mean_difference
from mtl_tf.deployment.export.description import description
from mtl_tf.deployment.export.exported_model import ExportedModel
from mtl_tf.deployment.export.formats import FORMATS, PRECISIONS, Precision, format_of, suffix_of
from mtl_tf.deployment.export.serving import Activated, resized_network, serving_network
from mtl_tf.deployment.inputs import image_files, images_for, network_input
from mtl_tf.deployment.presets import model_file
from mtl_tf.deployment.saved_models import Saved, load_saved, saved_of, with_names_beside
from mtl_tf.optional_packages import optional_import
from mtl_tf.tasks import Task

_PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime")}


@dataclasses.dataclass(frozen=True)
class _Job:
    """An export: the network, its tasks, and the options."""

    network: keras.Model
    tasks: tuple[Task, ...]
    file_format: str
    preprocessing: bool
    postprocessing: bool
    batch: int | None
    any_size: bool
    precision: Precision

    def serving(self) -> keras.Model:
        return serving_network(
            self.network,
            self.tasks if self.postprocessing else None,
            preprocessing=self.preprocessing,
            any_size=self.any_size,
        )

    def input_of(self, image: np.ndarray) -> np.ndarray:
        """Return an image of the network's size as the file takes it, in a full batch."""
        raw = image[None].astype(np.float32)
        one = raw if self.preprocessing else network_input(self.network, image)
        return np.repeat(one, self.batch or 1, axis=0)


def export_model(
    model: keras.Model | str | os.PathLike[str],
    out: str | os.PathLike[str],
    file_format: str | None = None,
    with_preprocessing: bool = False,
    photos: Sequence[str | os.PathLike[str]] = (),
    *,
    with_postprocessing: bool = False,
    precision: Precision = "float32",
    calibration: Sequence[str | os.PathLike[str]] = (),
    batch: int | None = None,
    height: int | None = None,
    width: int | None = None,
    any_size: bool = False,
) -> dict[str, Difference]:
    """Export a network, run the exported file, and compare its outputs with Keras.

    The file has the input `image`, one output named after each task, a description of them (see
    `ExportedModel`), and none of this library's ops.

    Source: this library. int8: post-training quantisation of Jacob et al., CVPR 2018, by the
    converter of LiteRT and ONNX Runtime.

    Args:
        model: an architecture of `mtl_tf.architectures`, any functional model with a dictionary of
            outputs, a trainer, or the path of a run, preset or `.keras` file.
        out: path of the file (`savedmodel`: of the folder).
        file_format: `"savedmodel"`, `"onnx"` (needs the extra `export`) or `"litert"`; `None` takes
            it from the suffix of `out`: `.onnx`, `.tflite`, or none for a SavedModel.
        with_preprocessing: take RGB images `[B, H, W, 3]` of numbers 0 to 255 instead of normalised
            ones; a model that includes its preprocessing always does.
        photos: image files to compare on; by default those of `calibration`, or a rendered room.
        with_postprocessing: return class ids `[B, H, W]` int32, metres and probabilities
            `[B, H, W]` and unit vectors `[B, H, W, C]` instead of raw predictions `[B, H, W, C]`.
        precision: of weights and computation, `"float32"`, `"float16"` or `"int8"`; input and
            outputs stay float32. A SavedModel has float32.
        calibration: image files, and folders of them, that define the ranges of int8: some dozens,
            like those of the service.
        batch: number of images; `None` for any number.
        height: of the images, for a network at another size than it was trained at.
        width: likewise.
        any_size: take images of any size; the file scales them to the network's and the outputs
            back.

    Returns:
        `{task: difference to Keras}` over the photos, floats with a `text`: the maximum in the unit
        of the output, of class ids the share of the pixels. Of float16 and int8 the mean difference
        of the activated predictions: of class ids the share of the pixels, of unit vectors the
        angle in degrees.

    Raises:
        ValueError: for an unknown format, suffix or precision, int8 without images, postprocessing
            of unknown tasks, a size that the network cannot have, or if `out` is a folder.
        ImportError: if the format needs a package that is not installed.
        FileNotFoundError: if `model` is a path and missing.
        DataError: if a photograph is missing or damaged.
        RuntimeError: if float32 outputs differ by more than 1e-3 of their standard deviation;
            nothing is written then.
    """
    out = pathlib.Path(out)
    file_format = format_of(out) if file_format is None else file_format
    _check(file_format, precision, batch, calibration, out)
    saved = saved_of(model) if isinstance(model, keras.Model) else _loaded(model)
    _check_tasks(saved, with_postprocessing)
    size = saved.network.input_shape[1:3]
    network = resized_network(saved.network, height or size[0], width or size[1])
    calibration_files = list(image_files(calibration))
    images = images_for(network, photos or calibration_files[:8])
    job = _Job(
        network,
        saved.tasks,
        file_format,
        with_preprocessing,
        with_postprocessing,
        batch,
        any_size,
        precision,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unfinished = pathlib.Path(folder, f"model{suffix_of(file_format)}")
        _write(job, unfinished, calibration_files)
        differences = _differences(job, ExportedModel(unfinished), images)
        unfinished.replace(out)
    return differences


def _check(
    file_format: str,
    precision: str,
    batch: int | None,
    calibration: Sequence[object],
    out: pathlib.Path,
) -> None:
    if file_format not in FORMATS:
        raise ValueError(f"file_format must be one of {list(FORMATS)}. Received: {file_format!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}. Received: {precision!r}")
    if file_format == "savedmodel" and precision != "float32":
        raise ValueError(f"A SavedModel has float32. Received: {precision!r}; use onnx or litert")
    if precision == "int8" and not calibration:
        raise ValueError(
            "int8 needs images like those of the service, that define the ranges of the "
            "activations: calibration=[folder] (--calibrate FOLDER)"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, or None for any number. Received: {batch}")
    for package in _PACKAGES.get(file_format, ()):
        optional_import(package, f"Export to {file_format}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder that exists: choose another name")


def _loaded(model: str | os.PathLike[str]) -> Saved:
    path = model_file(model)
    saved = load_saved(path)
    return saved._replace(tasks=with_names_beside(path, saved.tasks))


def _check_tasks(saved: Saved, postprocessing: bool) -> None:
    known = {task.name for task in saved.tasks}
    unknown = [name for name in saved.network.output if name not in known]
    if postprocessing and unknown:
        raise ValueError(
            f"with_postprocessing needs the tasks of all outputs. Unknown: {unknown}. Save the "
            "MultiTaskTrainer, not the network only"
        )


def _write(job: _Job, path: pathlib.Path, calibration: Sequence[pathlib.Path]) -> None:
    """Write the file with its description."""
    network = job.serving()
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
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source = pathlib.Path(folder, "saved_model")
            saved_model.write(network, source, job.batch)
            litert_file.write(source, path, job.precision, inputs)
        litert_file.describe(path, text)
    else:
        onnx_file.write(network, path, job.batch)
        if job.precision == "float16":
            onnx_file.halve(path)
        elif job.precision == "int8":
            onnx_file.quantise(path, inputs)
        onnx_file.describe(path, text)


def _differences(
    job: _Job, exported: ExportedModel, images: Iterable[np.ndarray]
) -> dict[str, Difference]:
    """Return the difference of each output; of float32 raise `RuntimeError` if one is too large."""
    network = job.serving()
    inputs = [job.input_of(image) for image in images]
    runs = [[network(x, training=False) for x in inputs], [exported(x) for x in inputs]]
    if job.precision == "float32":
        outputs = {
            name: [[np.asarray(image[name]) for image in run] for run in runs]
            for name in network.output
        }
        return {name: largest_difference(name, *pair) for name, pair in outputs.items()}
    numbers = {
        task: [[_numbers(job, task, image) for image in run] for run in runs] for task in job.tasks
    }
    return {task.name: mean_difference(task, *pair) for task, pair in numbers.items()}


def _numbers(job: _Job, task: Task, outputs: Mapping[str, Any]) -> np.ndarray:
    """Return the numbers of a task, as `Prediction` has them, from the outputs of the network."""
    output = outputs[task.name]
    return np.asarray(output if job.postprocessing else Activated(task)(output))
