"""Predictions for a photograph, written as coloured maps."""

import functools
import io
import json
import os
import pathlib

import cv2
import keras
import tensorflow as tf
from PIL import Image

from mtl_tf import data, evaluation
from mtl_tf.data.files import read_image
from mtl_tf.evaluation.files import write_atomically
from mtl_tf.tasks import TASKS


@functools.lru_cache(maxsize=1)
def _load_model(path: pathlib.Path) -> keras.Model:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the model.keras of a finished run")
    return keras.saving.load_model(path)


def predict_photo(
    model_path: str | os.PathLike[str],
    photo_path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
) -> list[pathlib.Path]:
    """Predicts all tasks of a photograph and writes `<photo>_<task>.png` at its size.

    The photograph is resized to the model's input; maps are resized back bilinearly. Class names
    for the colours come from `classes.json` beside the model, where a run puts it.

    Args:
        model_path: a saved model of `mtl_tf.architectures`.
        photo_path: an image file.
        out: folder of the pictures, made if missing; beside the photograph without it.

    Returns:
        Paths of the pictures.

    Raises:
        FileNotFoundError: if the model is missing.
        DataError: if the photograph is missing or damaged.
    """
    model_path, photo_path = pathlib.Path(model_path), pathlib.Path(photo_path)
    photo = read_image(photo_path)
    model = _load_model(model_path)
    folder = photo_path.parent if out is None else pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = model.input_shape
    image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    outputs = model(data.normalise(image)[None], training=False)
    names_path = model_path.with_name("classes.json")
    class_names = json.loads(names_path.read_text()) if names_path.is_file() else ()
    paths = []
    for task, raw in outputs.items():
        if task not in TASKS:
            continue
        full = tf.image.resize(raw, photo.shape[:2])[0]
        values = TASKS[task].activation(full).numpy()
        names = class_names if task == "semseg" else ()
        buffer = io.BytesIO()
        Image.fromarray(evaluation.colourise(task, values, names)).save(buffer, "PNG")
        path = folder / f"{photo_path.stem}_{task}.png"
        write_atomically(path, buffer.getvalue())
        paths.append(path)
    return paths
