"""Export of networks to SavedModel, ONNX and LiteRT, each compared with Keras."""

import os
import pathlib
import tempfile
from collections.abc import Iterable

import keras

from mtl_tf.deployment.export.comparison import Difference
from mtl_tf.deployment.export.exported_model import ExportedModel
from mtl_tf.deployment.export.formats import FORMATS, PRECISIONS, Precision, format_of, suffix_of
from mtl_tf.deployment.export.job import Job, differences_to_keras, write
from mtl_tf.deployment.export.serving import in_float32, resized_network, served_outputs
from mtl_tf.deployment.inputs import Paths, image_files, images_for
from mtl_tf.deployment.presets import model_file
from mtl_tf.deployment.saved_models import (
    Saved,
    load_saved,
    saved_of,
    with_given_tasks,
    with_names_beside,
)
from mtl_tf.optional_packages import optional_import
from mtl_tf.tasks import Task
from mtl_tf.text import first_line
from mtl_tf.training.preset import MODEL_FILE

_STRIDE = 32  # the largest of the backbones
_MOST_COMPARED = 16  # images of the calibration
_PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime")}


def export_model(
    model: keras.Model | str | os.PathLike[str],
    out: str | os.PathLike[str],
    file_format: str | None = None,
    with_preprocessing: bool = False,
    photos: Paths = (),
    *,
    with_postprocessing: bool = False,
    precision: Precision = "float32",
    calibration: Paths = (),
    batch: int | None = None,
    height: int | None = None,
    width: int | None = None,
    any_size: bool = False,
    tasks: Iterable[Task] | None = None,
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
        photos: image files, and folders of them, to compare on; by default the first 16 of
            `calibration`, or a rendered room.
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
            back. Only in float32.
        tasks: `mtl_tf.Task` objects of outputs whose tasks neither the file nor the library knows;
            they also replace known tasks of the same names.

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
        RuntimeError: if the network cannot be converted, if float32 outputs differ by more than
            1e-3 of their standard deviation, or if others are NaN; nothing is written then.
    """
    out = pathlib.Path(out)
    file_format = format_of(out) if file_format is None else file_format
    _check(file_format, precision, batch, calibration, any_size, out)
    saved = saved_of(model) if isinstance(model, keras.Model) else _loaded(model)
    saved = with_given_tasks(saved, tasks)
    _check_tasks(saved, with_postprocessing)
    size = saved.network.input_shape[1:3]
    network = resized_network(
        in_float32(saved.network),
        size[0] if height is None else height,
        size[1] if width is None else width,
    )
    calibration_files = image_files(calibration)
    images = images_for(network, photos or calibration_files[:_MOST_COMPARED])
    job = Job(
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
        try:
            write(job, unfinished, calibration_files)
            differences = differences_to_keras(job, _opened(unfinished, network), images)
        except (ValueError, RuntimeError, OSError, ImportError):
            raise
        except Exception as error:  # converters and runtimes raise their own
            raise RuntimeError(
                f"{network.name!r} cannot be exported to {file_format}: {first_line(error)}"
            ) from error
        unfinished.replace(out)
    return differences


def _opened(path: pathlib.Path, network: keras.Model) -> ExportedModel:
    """Open a file that was just written.

    The converter to ONNX computes other shapes than TensorFlow for some sizes that are no multiples
    of the strides; the runtime then refuses the file.
    """
    try:
        return ExportedModel(path)
    except ValueError as error:
        height, width = network.input_shape[1:3]
        if path.suffix != ".onnx" or (height % _STRIDE, width % _STRIDE) == (0, 0):
            raise
        near = (max(_STRIDE, round(n / _STRIDE) * _STRIDE) for n in (height, width))
        raise RuntimeError(
            f"{network.name!r} cannot be exported to onnx at {height}x{width}: give a height and a "
            f"width that are multiples of {_STRIDE}, such as {'x'.join(map(str, near))} (--height, "
            "--width), or export to LiteRT"
        ) from error


def _check(
    file_format: str,
    precision: str,
    batch: int | None,
    calibration: object,
    any_size: bool,
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
    if any_size and precision != "float32":
        raise ValueError(
            f"any_size needs float32: positions of pixels are no numbers for {precision}. Give "
            "height and width instead"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, or None for any number. Received: {batch}")
    for package in _PACKAGES.get(file_format, ()):
        optional_import(package, f"Export to {file_format}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder that exists: choose another name")
    if file_format == "savedmodel" and out.exists():
        raise ValueError(f"{out} is a file, and a SavedModel is a folder: choose another name")


def _loaded(model: str | os.PathLike[str]) -> Saved:
    path = pathlib.Path(model)
    if not path.exists():  # an existing path is no name of a preset
        path = model_file(model)
    saved = load_saved(path)
    file = path / MODEL_FILE if path.is_dir() else path
    return saved._replace(tasks=with_names_beside(file, saved.tasks))


def _check_tasks(saved: Saved, postprocessing: bool) -> None:
    known = {task.name for task in saved.tasks}
    unknown = [n for n in served_outputs(saved.network, saved.tasks) if n not in known]
    if postprocessing and unknown:
        raise ValueError(
            f"with_postprocessing needs the tasks of all outputs. Unknown: {unknown}. Save the "
            "MultiTaskTrainer, not the network only, or give tasks=[mtl_tf.Task(...)] (--tasks)"
        )
