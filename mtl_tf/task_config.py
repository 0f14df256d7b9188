"""Tasks as Keras configurations and back, so that a saved trainer knows its tasks.

Losses, metrics and activations of `TASKS` are stored by name, classes by module and name, what a
function makes as the object it made. Nothing is imported for a file, and no function it names is
called: classes must be losses or metrics that are registered with Keras or already imported.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import TASKS, Task, as_tasks

_MAKERS = ("activation", "loss", "metrics", "colourise")
_BASES = (
    keras.losses.Loss, keras.metrics.Metric, keras.layers.Layer, keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)  # fmt: skip


def task_config(task: Task) -> dict[str, Any]:
    """The JSON configuration of a task."""
    plain = ("name", "channels", "main_metric", "higher_is_better")
    config = {field: getattr(task, field) for field in plain}
    config["kind"] = task.kind.value
    for field in _MAKERS:
        config[field] = _stored(task, field, getattr(task, field))
    return config


def tasks_from_config(config: Any) -> tuple[Task, ...]:
    """The tasks of a trainer's configuration: of `task_config` each, or `{task: channels}`.

    Raises:
        TypeError: if a class is neither registered with Keras nor imported.
    """
    if isinstance(config, Mapping):  # of an early version
        return as_tasks(config)
    return tuple(_task(one) for one in config)


def known_classes(config: Any) -> dict[str, type]:
    """Keras classes that a configuration names, without being registered, and that are imported.

    Args:
        config: any nest of dictionaries and lists as Keras serialises objects.

    Returns:
        `{registered name: class}`, for `keras.saving.custom_object_scope`.
    """
    found = {}
    for name, module, registered in _named(config):
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and issubclass(cls, _BASES):
            found[registered] = cls
    return found


def _named(config: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(config, Mapping):
        name, registered = config.get("class_name"), config.get("registered_name")
        if isinstance(name, str) and isinstance(registered, str):
            yield name, str(config.get("module")), registered
        for value in config.values():
            yield from _named(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _named(value)


def _stored(task: Task, field: str, value: Any) -> Any:
    """A function or class in a form that JSON takes."""
    of = next((name for name, known in TASKS.items() if getattr(known, field) is value), None)
    if of is not None and value is not None:
        return {"task": of}
    if isinstance(value, _Made):
        return {"made": value.config}
    if isinstance(value, type):
        return {"class": value.__name__, "module": value.__module__}
    if field == "loss":
        return {"made": keras.saving.serialize_keras_object(value())}
    if field == "metrics":
        made = value(task.channels)
        return {"made": [keras.saving.serialize_keras_object(metric) for metric in made]}
    registered = value is not None and keras.saving.get_registered_object(
        keras.saving.get_registered_name(value)
    )
    if registered:
        return {"function": keras.saving.get_registered_name(value)}
    return None if value is None else {"missing": getattr(value, "__qualname__", repr(value))}


def _task(config: Mapping[str, Any]) -> Task:
    makers = {field: _restored(config, field) for field in _MAKERS}
    return Task(
        name=config["name"],
        channels=config["channels"],
        main_metric=config["main_metric"],
        higher_is_better=config["higher_is_better"],
        kind=TargetKind(config["kind"]),
        **makers,
    )


def _restored(config: Mapping[str, Any], field: str) -> Any:
    stored = config[field]
    if stored is None:
        return None
    if "task" in stored:
        return getattr(TASKS[stored["task"]], field)
    if "made" in stored:
        return _Made(stored["made"])
    if "class" in stored:
        return _class(stored["class"], stored["module"], config["name"], field)
    if "function" in stored:
        function = keras.saving.get_registered_object(stored["function"])
        if function is not None:
            return function
    name = stored.get("function") or stored["missing"]
    warnings.warn(
        f"The {field} {name!r} of task {config['name']!r} was not saved. Training goes on without "
        "it; to evaluate or predict, pass your mtl_tf.Task, or register the function with "
        "keras.saving.register_keras_serializable before saving",
        stacklevel=2,
    )
    return _Missing(config["name"], field, name)


def _class(name: str, module: str, task: str, field: str) -> type:
    cls = keras.saving.get_registered_object(f"mtl_tf>{name}") or getattr(
        sys.modules.get(module), name, None
    )
    if not (isinstance(cls, type) and issubclass(cls, _BASES)):
        raise TypeError(
            f"Could not locate the {field} {module}.{name} of task {task!r}: import the module "
            "that defines it before loading"
        )
    return cls


class _Made:
    """Makes an object, or a list of them, from its stored configuration."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def __call__(self, channels: int | None = None) -> Any:
        with keras.saving.custom_object_scope(known_classes(self.config)):
            if isinstance(self.config, list):
                return [keras.saving.deserialize_keras_object(one) for one in self.config]
            return keras.saving.deserialize_keras_object(self.config)


class _Missing:
    """Stands for a function that could not be saved; says so when it is called."""

    def __init__(self, task: str, field: str, name: str) -> None:
        self.task, self.field, self.__qualname__ = task, field, name

    def __call__(self, *_: Any) -> Any:
        raise ValueError(
            f"The {self.field} {self.__qualname__!r} of task {self.task!r} was not saved with the "
            "trainer: pass your mtl_tf.Task"
        )
