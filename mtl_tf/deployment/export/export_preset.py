"""Export of a trained network as a preset: smaller, and for RGB images as they are."""

import os
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np

from mtl_tf.deployment.export.comparison import Difference, largest
from mtl_tf.deployment.export.half_precision import halve_weights
from mtl_tf.deployment.inputs import Paths, images_for, network_input
from mtl_tf.deployment.presets import from_preset, model_file
from mtl_tf.deployment.saved_models import with_names_beside
from mtl_tf.training import MultiTaskTrainer
from mtl_tf.training.preset import CARD_FILE, MODEL_FILE, further_sections

_WEIGHTS = "Stored in half precision (float16), loaded as float32."


def export_preset(
    preset: str | os.PathLike[str], out: str | os.PathLike[str], photos: Paths = ()
) -> dict[str, Difference]:
    """Write a trained network as a preset to hand over, and compare its outputs.

    Its weights are stored as float16, an architecture of this library takes RGB images 0..255, and
    the sections of the model card are kept.

    Source: this library.

    Args:
        preset: a folder of a run or preset, or a name, see `from_preset`.
        out: folder to write.
        photos: image files to compare on; by default a rendered room.

    Returns:
        `{task: maximum absolute difference}` over the images, in the unit of the raw prediction.

    Raises:
        FileNotFoundError: if there is no such preset.
        ValueError: if it is damaged, if a weight is too large for float16, or if `out` exists.
        DataError: if a photograph is missing or damaged.
    """
    out = pathlib.Path(out)
    if out.exists():
        raise ValueError(f"{out} exists: choose another name")
    source = model_file(preset)
    trainer = from_preset(source)
    tasks = with_names_beside(source, trainer.tasks)
    images = images_for(trainer.network, photos)
    old_card = source.with_name(CARD_FILE)
    sections = further_sections(old_card.read_text("utf-8")) if old_card.is_file() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unfinished = pathlib.Path(folder) / out.name
        network = trainer.network
        if hasattr(network, "with_preprocessing"):
            network = network.with_preprocessing()
        made = MultiTaskTrainer(network, tasks)
        made.save_to_preset(unfinished, {**sections, "Weights": _WEIGHTS})
        halve_weights(unfinished / MODEL_FILE)
        differences = _differences(trainer, from_preset(unfinished), images)
        unfinished.replace(out)
    return differences


def _differences(
    one: MultiTaskTrainer, other: MultiTaskTrainer, images: Sequence[np.ndarray]
) -> dict[str, Difference]:
    """Return the maximum difference of the raw predictions of each task."""
    runs = [
        [t.network(network_input(t.network, image), training=False) for image in images]
        for t in (one, other)
    ]
    differences = {}
    for task in one.tasks:
        a, b = ([np.asarray(outputs[task.name]) for outputs in run] for run in runs)
        differences[task.name] = largest(
            [float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True)]
        )
    return differences
