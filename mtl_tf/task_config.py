"""Tasks as Keras configurations and back, so that a saved trainer knows its tasks.

Losses, metrics and activations of `TASKS` are stored by name, classes by module and name, what a
function makes as the object it made. Nothing is imported for a file, and no function it names is
called: classes must be losses or metrics that are registered with Keras or already imported.
"""

import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import TASKS, Task, as_tasks

_MAKERS = ("activation", "loss", "metrics", "colourise")
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_DISPENSABLE = ("name", "dtype", "reduction")
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


def known_classes(config: Any) -> dict[str, Any]:
    """Registered objects and imported Keras classes that a configuration names.

    Args:
        config: any nest of dictionaries and lists as Keras serialises objects.

    Returns:
        `{registered name: object}`, the `custom_objects` of
        `keras.saving.deserialize_keras_object` also after the scope of this call has ended.
    """
    found = {}
    for name, module, registered in _named(config):
        known = keras.saving.get_registered_object(registered)
        cls = getattr(sys.modules.get(module), name, None)
        if known is not None:
            found[registered] = known
        elif isinstance(cls, type) and issubclass(cls, _BASES):
            found[registered] = cls
    return found


def whole_config(made: Any, looks_inside: bool = True) -> dict[str, Any]:
    """The Keras configuration of an object, if it holds all arguments of its constructor.

    What the constructor does not take is left out.

    Args:
        made: a loss, metric or layer.
        looks_inside: whether to add what `get_config` lacks (that of `keras.losses.Huber` its
            delta) where the object keeps it, as plain data, under the argument's name.

    Raises:
        ValueError: naming the arguments that would be lost.
    """
    config = dict(made.get_config())
    parameters = inspect.signature(type(made).__init__).parameters
    names = [n for n, p in parameters.items() if p.kind in _PLAIN and n != "self"]
    lost = []
    for name in names:
        if name in config or name in _DISPENSABLE:
            continue
        kept = [vars(made), *(v for v in vars(made).values() if isinstance(v, Mapping))]
        values = [own[name] for own in kept if name in own and _is_plain(own[name])]
        if looks_inside and values:
            config[name] = values[0]
        else:
            lost.append(name)
    if lost:
        raise ValueError(f"the get_config of {type(made).__name__} lacks {lost}: add them to it")
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in set(_DISPENSABLE) - set(names):
            config.pop(name, None)
    return config


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | None)


def serialized(value: Any) -> Any:
    """`keras.saving.serialize_keras_object`, of losses, metrics and layers with `whole_config`.

    Without the numbers by which Keras recognises an object that occurs twice: it takes them from
    addresses, and objects that tasks made for this call are gone, their addresses used again.

    Raises:
        ValueError: if arguments of a constructor would be lost.
    """
    if isinstance(value, Mapping):
        return {name: serialized(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [serialized(one) for one in value]
    stored = _without_numbers(keras.saving.serialize_keras_object(value))
    if isinstance(value, keras.losses.Loss | keras.metrics.Metric | keras.layers.Layer):
        whole = whole_config(value)
        stored["config"] = {name: stored["config"].get(name, whole[name]) for name in whole}
    return stored


def _without_numbers(config: Any) -> Any:
    if isinstance(config, Mapping):
        kept = {name: one for name, one in config.items() if name != "shared_object_id"}
        return {name: _without_numbers(one) for name, one in kept.items()}
    return [_without_numbers(one) for one in config] if isinstance(config, list) else config


def _named(config: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(config, Mapping):
        name, registered = config.get("class_name"), config.get("registered_name")
        if name == "function":  # only if it is registered
            yield "", "", str(config.get("config"))
        elif isinstance(name, str) and isinstance(registered, str):
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
        registered = keras.saving.get_registered_name(value)
        return {"class": value.__name__, "module": value.__module__, "registered": registered}
    if field == "loss":
        return {"made": serialized(value())}
    if field == "metrics":
        return {"made": serialized(task.made_metrics())}
    if value is None:
        return None
    name = getattr(value, "__name__", None)
    if name and keras.saving.get_registered_object(keras.saving.get_registered_name(value)):
        return {"function": keras.saving.get_registered_name(value)}
    return {"missing": name or repr(value)}


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
        return _class(stored, config["name"], field)
    name = stored.get("function") or stored["missing"]
    function = keras.saving.get_registered_object(name)
    if function is not None:
        return function
    warnings.warn(
        f"The {field} {name!r} of task {config['name']!r} was not saved. Training goes on without "
        "it; to evaluate or predict, pass your mtl_tf.Task, load with custom_objects, or register "
        "the function with keras.saving.register_keras_serializable",
        stacklevel=2,
    )
    return _Missing(config["name"], field, name)


def _class(stored: Mapping[str, str], task: str, field: str) -> type:
    name, module = stored["class"], stored["module"]
    registered = stored.get("registered", name)
    cls = keras.saving.get_registered_object(registered) or getattr(
        sys.modules.get(module), name, None
    )
    if not (isinstance(cls, type) and issubclass(cls, _BASES)):
        raise TypeError(
            f"Could not locate the {field} {module}.{name} of task {task!r}: import the module "
            f"that defines it before loading, or load with custom_objects={{{registered!r}: ...}}"
        )
    return cls


class _Made:
    """Makes an object, or a list of them, from its stored configuration."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self._known = known_classes(config)

    def __call__(self, channels: int | None = None) -> Any:
        return keras.saving.deserialize_keras_object(self.config, self._known)


class _Missing:
    """Stands for a function that could not be saved; says so when it is called."""

    def __init__(self, task: str, field: str, name: str) -> None:
        self.task, self.field, self.__qualname__ = task, field, name

    def __call__(self, *_: Any) -> Any:
        raise ValueError(
            f"The {self.field} {self.__qualname__!r} of task {self.task!r} was not saved with the "
            "trainer: pass your mtl_tf.Task"
        )
