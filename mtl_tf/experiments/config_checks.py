"""Checks of a configuration against the tables of the library.

They import TensorFlow, so `config.py`, which the command line reads for its options, imports them
on first use.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from mtl_tf import architectures, backbones, data, heads
from mtl_tf.balancing import canonical_name
from mtl_tf.experiments import plugins
from mtl_tf.targets import KINDS
from mtl_tf.tasks import TASKS
from mtl_tf.text import must_be_one_of, shown

_TABLES: dict[str, Any] = {
    "architecture": architectures.TABLE,
    "backbone": backbones.TABLE,
    "head": heads.TABLE,
}
_DEFINES_TASKS = ("folder", "packed")  # data sets that do

__all__ = [
    "TASKS",
    "canonical_name",
    "checked_dataset",
    "checked_tasks",
    "described",
    "listed",
    "needs_root",
]
checked_dataset = plugins.checked_dataset


def checked_tasks(texts: tuple[str, ...], dataset: str | None) -> tuple[str, ...]:
    """Return the texts of tasks with absolute paths.

    Args:
        texts: of the tasks.
        dataset: name of the data set; some define tasks of their own.

    Raises:
        ValueError: for a text that is no task.
    """
    checked = []
    for text in texts:
        try:
            checked.append(plugins.checked_task(text, may_be_of_data=dataset in _DEFINES_TASKS))
        except ValueError as error:
            raise ValueError(f"{shown(text)!r} {error}") from error
    return tuple(checked)


def listed(field: str, name: str) -> str:
    """Return a name that is in the table of a field.

    Args:
        field: `architecture`, `backbone` or `head`.
        name: to look up.

    Raises:
        ValueError: for another name.
    """
    if name not in _TABLES[field]:
        raise ValueError(must_be_one_of(_TABLES[field], name))
    return name


def needs_root(dataset: str) -> bool:
    """Return whether a data set of the library reads a folder."""
    info = data.TABLE.get(dataset)
    return info is not None and info.needs_root


def described(root: object, loss_weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the tasks and the size in the `data.yaml` of a folder; `{}` without one.

    Also the loss weights of its tasks: that of the same name in the preset, else that of the same
    kind, since losses of one kind are of one size.

    Args:
        root: path of the folder.
        loss_weights: of the preset, by the names of its tasks.

    Raises:
        ValueError: if the file is no description.
    """
    if not isinstance(root, str | os.PathLike):
        return {}
    folder = pathlib.Path(root).expanduser()
    if not (folder / data.folder.FILE).is_file():
        return {}
    description = data.folder.read_description(folder)
    size = description.input_size
    of_size = dict(zip(("height", "width"), size, strict=True)) if size is not None else {}
    of_kind = {KINDS[name]: weight for name, weight in loss_weights.items() if name in KINDS}
    weights = {
        name: loss_weights.get(name, of_kind.get(data.folder.task_of(name, label).kind))
        for name, label in description.tasks.items()
    }
    known = {name: weight for name, weight in weights.items() if weight is not None}
    return {"tasks": tuple(description.tasks), "loss_weights": known, **of_size}
