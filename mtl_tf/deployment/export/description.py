"""Description of an exported file: input, outputs, classes and units, as JSON."""

from collections.abc import Sequence
from typing import Any

import keras

from mtl_tf.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.deployment.export.serving import INPUT
from mtl_tf.deployment.inputs import includes_preprocessing
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

KEY = "mtl_tf"
"""Name of the description in the metadata of a file."""

_MEANINGS = {
    TargetKind.CLASSES: "class ids",
    TargetKind.BINARY: "probability",
    TargetKind.BOUNDARY: "probability",
    TargetKind.DIRECTION: "unit vectors: x right, y up, z towards the camera",
    TargetKind.DISTANCE: "metres",
    TargetKind.VALUES: "numbers",
}


def description(
    network: keras.Model,
    tasks: Sequence[Task],
    precision: str,
    preprocessing: bool,
    postprocessing: bool,
    any_size: bool,
) -> dict[str, Any]:
    """Return what a program must know to use an exported file.

    Args:
        network: as exported, without preprocessing and postprocessing.
        tasks: its tasks.
        precision: `"float32"`, `"float16"` or `"int8"`.
        preprocessing: whether the file normalises the images.
        postprocessing: whether the outputs are activated.
        any_size: whether images may have any size.

    Returns:
        To store as JSON: `input` (`name`, `height`, `width`, `values`, where needed `mean` and
        `std`), `outputs` (`{task: kind, values, class_names, class_colours}`) and `precision`.
    """
    height, width = (None, None) if any_size else network.input_shape[1:3]
    image: dict[str, Any] = {"name": INPUT, "height": height, "width": width}
    if preprocessing or includes_preprocessing(network):
        image["values"] = "RGB, 0 to 255"
    else:
        image["values"] = "RGB, (x / 255 - mean) / std"
        image |= {"mean": IMAGENET_MEAN.tolist(), "std": IMAGENET_STD.tolist()}
    return {
        "input": image,
        "outputs": {task.name: _output(task, postprocessing) for task in tasks},
        "precision": precision,
    }


def _output(task: Task, is_activated: bool) -> dict[str, Any]:
    values = _MEANINGS[task.kind] if is_activated else f"raw prediction of {_MEANINGS[task.kind]}"
    output: dict[str, Any] = {"kind": task.kind.value, "values": values}
    if task.class_names:
        output["class_names"] = list(task.class_names)
    if task.class_colours:
        output["class_colours"] = [list(colour) for colour in task.class_colours]
    return output
