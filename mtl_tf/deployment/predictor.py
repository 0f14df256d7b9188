"""Predictions of a saved model for photographs, as coloured maps."""

import os
import pathlib
from collections.abc import Iterable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf

from mtl_tf import evaluation
from mtl_tf.atomic_files import read_json
from mtl_tf.deployment.inputs import as_photo, network_input
from mtl_tf.deployment.presets import model_file
from mtl_tf.deployment.saved_models import Saved, load_saved
from mtl_tf.tasks import TASKS, Task, as_tasks, with_class_names
from mtl_tf.text import shown

_MAX_MAP_SIZE = 1 << 29  # numbers in the raw prediction of a task at the photograph's size


class Predictor:
    """Coloured maps of all tasks of a photograph, in one pass of the network.

    >>> import mtl_tf, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "model.keras")
    >>> tasks, size = {"depth": 1}, (64, 96, 3)
    >>> mtl_tf.architectures.SharedTrunk("resnet18", tasks, size, head="conv").save(path)
    >>> Predictor(path)(np.zeros((48, 64, 3), np.uint8))["depth"].shape
    (48, 64, 3)

    Source: this library.

    Args:
        model_path: a saved model of `mtl_tf.architectures` or `MultiTaskTrainer`, the folder of a
            run or preset, or its name: see `from_preset`. Class names for the colours come from its
            tasks, else from `classes.json` beside it.
        tasks: `mtl_tf.Task` objects of outputs that neither the file nor the library knows; they
            also replace known tasks of the same names.

    Attributes:
        model: the network.
        tasks: the tasks that have maps.

    Raises:
        FileNotFoundError: if the model is missing.
        ValueError: if it holds code, if it or the class names are damaged, if an output has no
            task, or if a task has no output with its number of channels.
    """

    def __init__(
        self, model_path: str | os.PathLike[str], tasks: Iterable[Task] | None = None
    ) -> None:
        model_path = model_file(model_path)
        saved = load_saved(model_path)
        self.model: keras.Model = saved.network
        given = as_tasks(tasks) if tasks is not None else ()
        _check_outputs(model_path, saved, given)
        by_name = {task.name: task for task in (*saved.tasks, *given)}
        maps = [name for name, raw in self.model.output.items() if len(raw.shape) == 4]
        with_maps = [task for name, task in by_name.items() if name in maps]
        names = pathlib.Path(model_path).with_name("classes.json")
        self.tasks = _with_stored_names(with_maps, names) if names.is_file() else with_maps
        self._forward = tf.function(lambda image: self.model(image, training=False))

    def __call__(self, photo: np.ndarray | str | os.PathLike[str]) -> dict[str, np.ndarray]:
        """Predict the maps of a photograph.

        Args:
            photo: RGB `[H, W, 3]` uint8 of any size, or an image file; it is resized to the model's
                input, maps are resized back bilinearly.

        Returns:
            `{task: RGB picture [H, W, 3] uint8}`.

        Raises:
            ValueError: for an array that is no such image.
            DataError: for a file that is missing or damaged.
        """
        photo = as_photo(photo)
        outputs = self._forward(network_input(self.model, photo))
        pictures = {}
        for task in self.tasks:
            full = tf.image.resize(outputs[task.name], _map_size(photo, task.channels))[0]
            picture = evaluation.colourise(task, np.asarray(task.activation(full)))
            if picture.shape != photo.shape:
                picture = cv2.resize(picture, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            pictures[task.name] = picture
        return pictures


def _check_outputs(model_path: str | os.PathLike[str], saved: Saved, given: Sequence[Task]) -> None:
    """Raise `ValueError` for outputs without a task, and for given tasks without an output."""
    outputs = saved.network.output
    for task in given:
        channels = outputs[task.name].shape[-1] if task.name in outputs else None
        if channels != task.channels:
            shapes = {name: tuple(raw.shape[1:]) for name, raw in outputs.items()}
            raise ValueError(
                f"{shown(model_path)} has no output {task.name!r} of {task.channels} channels for "
                f"the task in tasks. It has {shapes}"
            )
    names = {task.name for task in (*given, *saved.tasks)}
    maps = [name for name, raw in outputs.items() if len(raw.shape) == 4]
    # "task/..." are deeply supervised predictions.
    unknown = [name for name in maps if name not in names and "/" not in name]
    if (unknown and not saved.has_tasks) or not names & set(maps):
        raise ValueError(
            f"{shown(model_path)} has no map of a known task, or maps of unknown tasks: "
            f"{unknown or list(outputs)}. Known: "
            f"{', '.join(TASKS)}. Pass tasks=[mtl_tf.Task(...), ...] for your own, or save the "
            "MultiTaskTrainer, not the network only"
        )


def _with_stored_names(tasks: Sequence[Task], path: pathlib.Path) -> tuple[Task, ...]:
    """Return the tasks with the class names of a run: one list, or `{task: names}`."""
    stored = read_json(path, "the class names of a run", object)
    lists = list(stored.values()) if isinstance(stored, dict) else [stored]
    if not lists or not all(
        isinstance(x, list) and all(isinstance(n, str) for n in x) for x in lists
    ):
        raise ValueError(f"{shown(path)} must hold a list of texts, or one by task")
    try:
        return with_class_names(tasks, stored)
    except ValueError as error:
        raise ValueError(f"{shown(path)} does not fit the model: {error}") from error


def _map_size(photo: np.ndarray, channels: int) -> tuple[int, int]:
    """Return height and width of a map: those of the photograph, up to a limit of memory."""
    height, width = photo.shape[:2]
    scale = min(1.0, (_MAX_MAP_SIZE / (height * width * channels)) ** 0.5)
    return max(1, int(scale * height)), max(1, int(scale * width))
