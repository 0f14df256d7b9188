"""Tasks as Keras configurations and back, so that a saved trainer knows its tasks.

Losses, metrics and activations of `TASKS` are stored by name, classes by module and name, other
functions as the serialised object they return. Loading imports nothing and calls no function that a
file names: classes must be losses, metrics, layers, optimizers or schedules, registered with Keras
or already imported.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, overload

import keras

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import TASKS, Task, as_tasks

_FUNCTIONS = ("activation", "loss", "metrics", "colourise")
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_DISPENSABLE = ("name", "dtype", "reduction")
_BASES = (
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.layers.Layer,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)


def task_config(task: Task) -> dict[str, Any]:
    """Return the JSON configuration of a task."""
    plain = ("name", "channels", "main_metric", "higher_is_better")
    config = {field: getattr(task, field) for field in plain}
    config["kind"] = task.kind.value
    config["class_names"] = list(task.class_names)
    config["class_colours"] = [list(colour) for colour in task.class_colours]
    for field in _FUNCTIONS:
        config[field] = _stored(task, field, getattr(task, field))
    return config


def tasks_from_config(config: Sequence[Mapping[str, Any]] | Mapping[str, int]) -> tuple[Task, ...]:
    """Return the tasks of a trainer's configuration.

    Args:
        config: a list of `task_config`, or `{task: channels}`.

    Raises:
        TypeError: if a class is neither registered with Keras nor imported.
    """
    if isinstance(config, Mapping):  # of an early version
        return as_tasks(config)
    return tuple(_task(of_task) for of_task in config)


def known_classes(config: object) -> dict[str, Any]:
    """Return the registered objects and imported Keras classes that a configuration names.

    Args:
        config: nested dictionaries and lists, as Keras serialises objects.

    Returns:
        `{registered name: object}`, the `custom_objects` of
        `keras.saving.deserialize_keras_object`; valid also after the scope of this call.
    """
    objects = {}
    for name, module, registered in _named(config):
        known = keras.saving.get_registered_object(registered)
        cls = getattr(sys.modules.get(module), name, None)
        if known is not None:
            objects[registered] = known
        elif isinstance(cls, type) and issubclass(cls, _BASES):
            objects[registered] = cls
    return objects


def whole_config(
    instance: keras.layers.Layer | keras.losses.Loss | keras.metrics.Metric,
    looks_inside: bool = True,
) -> dict[str, Any]:
    """Return the Keras configuration of an object with all arguments of its constructor.

    Entries that are no argument of the constructor are left out.

    Args:
        instance: a loss, metric or layer.
        looks_inside: whether to read arguments that `get_config` lacks (such as delta of
            `keras.losses.Huber`) from the object, if an attribute of that name is plain data.

    Raises:
        ValueError: naming the arguments that would be lost.
    """
    config = dict(instance.get_config())
    parameters = inspect.signature(type(instance).__init__).parameters
    names = [n for n, p in parameters.items() if p.kind in _PLAIN and n != "self"]
    lost = []
    for name in names:
        if name in config or name in _DISPENSABLE:
            continue
        attributes = [vars(instance), *(v for v in vars(instance).values() if isinstance(v, dict))]
        values = [group[name] for group in attributes if name in group and _is_plain(group[name])]
        if looks_inside and values:
            config[name] = values[0]
        else:
            lost.append(name)
    if lost:
        cls = type(instance).__name__
        raise ValueError(f"the get_config of {cls} lacks {lost}: add them to it")
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in set(_DISPENSABLE) - set(names):
            config.pop(name, None)
    return config


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | None)


@overload
def serialized(value: Mapping[str, object]) -> dict[str, Any]: ...
@overload
def serialized(value: object) -> object: ...
def serialized(value: object) -> object:
    """Serialise with `keras.saving.serialize_keras_object` and `whole_config`.

    The `shared_object_id` of Keras is left out: Keras derives it from addresses, and the addresses
    of the temporary losses and metrics of tasks are reused.

    Raises:
        ValueError: if arguments of a constructor would be lost.
    """
    if isinstance(value, Mapping):
        return {name: serialized(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [serialized(item) for item in value]
    stored = _without_shared_ids(keras.saving.serialize_keras_object(value))
    is_whole = isinstance(value, keras.losses.Loss | keras.metrics.Metric | keras.layers.Layer)
    if is_whole and isinstance(stored, dict):
        whole = whole_config(value)
        stored["config"] = {name: stored["config"].get(name, whole[name]) for name in whole}
    return stored


def _without_shared_ids(config: object) -> object:
    if isinstance(config, Mapping):
        kept = {name: item for name, item in config.items() if name != "shared_object_id"}
        return {name: _without_shared_ids(item) for name, item in kept.items()}
    return [_without_shared_ids(item) for item in config] if isinstance(config, list) else config


def _named(config: object) -> Iterator[tuple[str, str, str]]:
    """Yield `(class name, module, registered name)` of all objects in a configuration."""
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


def _stored(
    task: Task, field: str, value: Callable[..., object] | None
) -> dict[str, object] | None:
    """Return a function or class as JSON."""
    if value is None:
        return None
    owner = next((name for name, known in TASKS.items() if getattr(known, field) is value), None)
    if owner is not None:
        return {"task": owner}
    if isinstance(value, _Factory):
        return {"made": value.config}
    if isinstance(value, type):
        registered = keras.saving.get_registered_name(value)
        return {"class": value.__name__, "module": value.__module__, "registered": registered}
    if field == "loss":
        return {"made": serialized(value())}
    if field == "metrics":
        return {"made": serialized(task.new_metrics())}
    name = getattr(value, "__name__", None)
    if name and keras.saving.get_registered_object(keras.saving.get_registered_name(value)):
        return {"function": keras.saving.get_registered_name(value)}
    return {"missing": name or repr(value)}


def _task(config: Mapping[str, Any]) -> Task:
    functions: dict[str, Any] = {field: _restored(config, field) for field in _FUNCTIONS}
    return Task(
        name=config["name"],
        channels=config["channels"],
        main_metric=config["main_metric"],
        higher_is_better=config["higher_is_better"],
        kind=TargetKind(config["kind"]),
        class_names=config.get("class_names", ()),
        class_colours=config.get("class_colours", ()),
        **functions,
    )


def _restored(config: Mapping[str, Any], field: str) -> Callable[..., object] | None:
    stored = config[field]
    if stored is None:
        return None
    if "task" in stored:
        return getattr(TASKS[stored["task"]], field)
    if "made" in stored:
        return _Factory(stored["made"])
    if "class" in stored:
        return _class(stored, config["name"], field)
    name = stored.get("function") or stored["missing"]
    function = keras.saving.get_registered_object(name)
    if function is not None:
        return function
    warnings.warn(
        f"The {field} {name!r} of task {config['name']!r} was not saved. Training continues "
        "without it; to evaluate or predict, pass your mtl_tf.Task, load with custom_objects, or "
        "register the function with keras.saving.register_keras_serializable",
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


class _Factory:
    """Deserialise a loss, or a list of metrics, from its configuration at each call."""

    def __init__(self, config: object) -> None:
        self.config = config
        self._known = known_classes(config)

    def __call__(
        self, _channels: int | None = None
    ) -> keras.losses.Loss | list[keras.metrics.Metric]:
        return keras.saving.deserialize_keras_object(self.config, self._known)


class _Missing:
    """Placeholder of a function that could not be saved; calling it is an error."""

    def __init__(self, task: str, field: str, name: str) -> None:
        self.task, self.field, self.__qualname__ = task, field, name

    def __call__(self, *_: object) -> NoReturn:
        raise ValueError(
            f"The {self.field} {self.__qualname__!r} of task {self.task!r} was not saved with the "
            "trainer: pass your mtl_tf.Task"
        )
