"""`mtl_tf.Task` objects of the labels in a `data.yaml`."""

import dataclasses
import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any

import keras

from mtl_tf import losses, metrics
from mtl_tf.data.folder.description import ENCODINGS, Label
from mtl_tf.targets import KINDS, TargetKind
from mtl_tf.tasks import TASKS, Task

_LIKE = {
    TargetKind.CLASSES: "semseg",
    TargetKind.BINARY: "saliency",
    TargetKind.BOUNDARY: "edges",
    TargetKind.DIRECTION: "normals",
    TargetKind.DISTANCE: "depth",
    TargetKind.VALUES: "keypoints",
}
"""Known tasks whose activation, loss and metrics a new task of the kind has."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_Named = str | Mapping[str, Mapping[str, Any]]


def task_of(name: str, label: Label) -> Task:
    """Return the task of a label.

    Args:
        name: of the task; that of a known task for its loss and metrics.
        label: its description.

    Raises:
        ValueError: for a name that layers cannot have, a kind that is not that of the known task,
            and for a loss or metric that is unknown, does not take its arguments, or does not fit
            the kind.
    """
    kind = kind_of_label(name, label)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"tasks.{name}: layers are called after a task, so its name must consist of the "
            "letters a to z, digits, _, - and full stops: rename it"
        )
    if name in KINDS and kind is not KINDS[name]:
        raise ValueError(
            f"tasks.{name}: {name} is the name of a task of {KINDS[name].value}, and its labels "
            f"are of {kind.value}: choose another name"
        )
    like = TASKS[name if name in TASKS else _LIKE[kind]]
    changes: dict[str, Any] = {
        "name": name,
        "channels": label.channels_of_prediction,
        "kind": kind,
        "class_names": label.class_names,
        "class_colours": label.class_colours,
    }
    try:
        if label.loss is not None:
            changes["loss"] = _maker(label.loss, (losses, keras.losses), keras.losses.Loss)
            changes["loss"]()
        if label.metrics is not None:
            several = label.metrics if isinstance(label.metrics, tuple) else (label.metrics,)
            modules = (metrics, keras.metrics)
            makers = [_maker(metric, modules, keras.metrics.Metric) for metric in several]
            changes["metrics"] = functools.partial(_made, makers)
            changes |= {
                "main_metric": label.main_metric,
                "higher_is_better": label.higher_is_better,
            }
        task = dataclasses.replace(like, **changes)
        task.new_metrics()
    except (TypeError, ValueError) as error:
        raise ValueError(f"tasks.{name}: {error}") from error
    return task


def kind_of_label(name: str, label: Label) -> TargetKind:
    """Return the kind of the target of a label: as described, of a known task, or usual.

    Args:
        name: of the task.
        label: its description.
    """
    if label.kind is not None:
        return TargetKind(label.kind)
    kinds = ENCODINGS[label.meaning]
    return KINDS[name] if KINDS.get(name) in kinds else kinds[0]


def _maker(named: _Named, modules: tuple[Any, ...], base: type) -> functools.partial[Any]:
    """Return the class of a loss or metric with its arguments."""
    name, arguments = (named, {}) if isinstance(named, str) else next(iter(named.items()))
    for module in modules:
        cls = getattr(module, name, None)
        if isinstance(cls, type) and issubclass(cls, base) and cls is not base:
            return functools.partial(cls, **arguments)
    known = sorted(
        n
        for n, value in vars(modules[0]).items()
        if isinstance(value, type) and issubclass(value, base) and n in modules[0].__all__
    )
    raise ValueError(f"{name!r} is no {base.__name__.lower()}: use {', '.join(known)}, or Keras'")


def _made(makers: list[functools.partial[Any]], channels: int) -> list[keras.metrics.Metric]:
    """Return new metrics; one that needs the number of channels gets it."""
    made = []
    for maker in makers:
        parameters = inspect.signature(maker.func.__init__).parameters
        needed = [
            n
            for n in ("num_classes", "num_channels")
            if n in parameters and n not in maker.keywords
        ]
        made.append(maker(**dict.fromkeys(needed, channels)))
    return made
