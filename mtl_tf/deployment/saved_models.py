"""Saved networks, read with Keras' safe mode on, because a file may come from anywhere."""

import os
import pathlib
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras

from mtl_tf.atomic_files import read_json
from mtl_tf.data.files import leads_out
from mtl_tf.task_config import tasks_from_config
from mtl_tf.tasks import TASKS, Task, as_tasks, with_class_names
from mtl_tf.text import shown
from mtl_tf.training import MultiTaskTrainer
from mtl_tf.training.preset import CLASSES_FILE, MODEL_FILE

_MAX_CONFIG_BYTES = 1 << 26


class Saved(NamedTuple):
    """A network from a file and its known tasks.

    Attributes:
        network: from images to `{task: raw prediction}`.
        tasks: those that the file describes, else those that the library knows by name.
        has_tasks: whether the file describes them, so that no other output is a task.
    """

    network: keras.Model
    tasks: tuple[Task, ...]
    has_tasks: bool


def load_network(path: str | os.PathLike[str]) -> keras.Model:
    """Load the network in a `.keras` file, or that of a saved trainer.

    Keras' safe mode stays on: code in the file (a `Lambda` layer, a SavedModel) is not run, unless
    the program has called `keras.config.enable_unsafe_deserialization`.

    Args:
        path: the folder or `model.keras` of a run or preset, or any saved model from images to a
            dictionary of tasks.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds code, is damaged, or is no such model.
    """
    return load_saved(path).network


def load_saved(path: str | os.PathLike[str]) -> Saved:
    """Load a network as `load_network` does, with its tasks.

    Args:
        path: the folder or `model.keras` of a run or preset, or any saved model from images to a
            dictionary of tasks.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds code, is damaged, or is no such model.
    """
    path = pathlib.Path(path)
    path = path / MODEL_FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)} is missing: give the model.keras of a finished run")
    try:
        _check_archive(path)
        model: Any = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, zipfile, HDF5 and JSON raise many kinds
        if "safe_mode" in str(error):
            raise ValueError(
                f"{shown(path)} holds code that loading it would run: refused, for Keras' safe "
                "mode stays on. Build the model without Lambda layers; if you know who made the "
                "file, load it in Python by keras.saving.load_model(path, safe_mode=False)"
            ) from error
        reason = str(error) or type(error).__name__
        raise ValueError(f"{shown(path)} cannot be loaded as a model: {reason}") from error
    return saved_of(model, shown(path))


def saved_of(model: keras.Model, name: str = "The model") -> Saved:
    """Return the network and the tasks of a model in memory.

    Args:
        model: a network, or a trainer.
        name: of the model, for errors.

    Raises:
        ValueError: if it is no network from images to a dictionary of tasks.
    """
    if isinstance(model, MultiTaskTrainer):
        network, tasks = model.network, model.tasks
    else:
        network, tasks = model, _described_tasks(model)
    shape: Any = getattr(network, "input_shape", None)
    output = getattr(network, "output", None)
    is_image = isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3
    if not is_image or None in shape[1:] or not isinstance(output, dict):
        kind = list(output) if isinstance(output, dict) else type(output).__name__
        raise ValueError(
            f"{name} must hold a network from images [B, height, width, 3] to a dictionary "
            f"of tasks, as mtl_tf.architectures makes them. Received: input {shape}, output {kind}"
        )
    known = {name: raw.shape[-1] for name, raw in output.items() if name in TASKS}
    if tasks:
        return Saved(network, tasks, has_tasks=True)
    return Saved(network, as_tasks(known) if known else (), has_tasks=False)


def with_given_tasks(
    saved: Saved, tasks: Iterable[Task] | None, name: str = "The network"
) -> Saved:
    """Return a network with tasks that are given, which also replace its own of the same names.

    Args:
        saved: the network.
        tasks: the tasks; `None` for none.
        name: of the network, for the error.

    Raises:
        ValueError: if a task has no output with its number of channels.
    """
    given = as_tasks(tasks) if tasks is not None else ()
    outputs = saved.network.output
    for task in given:
        channels = outputs[task.name].shape[-1] if task.name in outputs else None
        if channels != task.channels:
            shapes = {name: tuple(raw.shape[1:]) for name, raw in outputs.items()}
            raise ValueError(
                f"{name} has no output {task.name!r} of {task.channels} channels for the task in "
                f"tasks. It has {shapes}"
            )
    by_name = {task.name: task for task in (*saved.tasks, *given)}
    return saved._replace(tasks=tuple(by_name.values()))


def with_names_beside(model_path: pathlib.Path, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return tasks with the class names in `classes.json` beside a model, if there is one.

    Args:
        model_path: of the file of the model.
        tasks: its tasks.

    Raises:
        ValueError: if the file is damaged, or the names do not fit.
    """
    path = model_path.with_name(CLASSES_FILE)
    if not path.is_file():
        return tuple(tasks)
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


def _described_tasks(network: keras.Model) -> tuple[Task, ...]:
    """Return the tasks in the metadata of a network; none if one needs code that is missing.

    An output without a task is an error later, unless a `Task` is given for it.
    """
    described = getattr(network, "metadata", {}).get("tasks", [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a function that was not saved
            return tasks_from_config(described)
    except (UserWarning, TypeError, ValueError, KeyError, AttributeError):
        return ()


def _check_archive(path: pathlib.Path) -> None:
    """Check that no member of an archive leads out of it or unpacks into too much text."""
    if not zipfile.is_zipfile(path):  # Keras raises an error that says what it is
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if leads_out(member.filename):
                raise ValueError(f"its member {member.filename!r} leads out of the archive")
            if member.filename.endswith(".json") and member.file_size > _MAX_CONFIG_BYTES:
                raise ValueError(
                    f"its {member.filename} claims {member.file_size >> 20} MiB of configuration"
                )
