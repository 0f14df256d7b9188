"""Names of the classes of tasks: checks, and the forms in which users and files give them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mtl_tf.targets import KINDS, TargetKind


class _Task(Protocol):
    """The part of `mtl_tf.Task` that decides on class names."""

    @property
    def kind(self) -> TargetKind: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...


def checked_class_names(names: Sequence[str], task: str, num_classes: int) -> tuple[str, ...]:
    """Return the class names of a task as a tuple.

    Args:
        names: a sequence with one printable name per class.
        task: name of the task, for the error message.
        num_classes: number of classes of the task.

    Raises:
        ValueError: if `names` is something else.
    """
    is_sequence = isinstance(names, Sequence) and not isinstance(names, str)
    if not is_sequence or not all(
        isinstance(name, str) and name.strip() and name.isprintable() for name in names
    ):
        raise ValueError(
            f"class_names of task {task!r} must be a sequence of printable names. "
            f"Received: {names!r}"
        )
    if len(names) != num_classes:
        raise ValueError(
            f"class_names of task {task!r} must have one name for each of its {num_classes} "
            f"classes. Received {len(names)}: {list(names)}"
        )
    return tuple(names)


def class_names_by_task(
    names: Sequence[str] | Mapping[str, Sequence[str]], num_classes: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """Assign class names to tasks.

    Args:
        names: `{task: names}`; or one sequence, which every task with that many classes gets.
        num_classes: `{task: number of classes}` of the tasks of class ids.

    Returns:
        `{task: names}` of the tasks that have names.

    Raises:
        ValueError: if the names of a task are not one printable name per class.
    """
    if not isinstance(names, Mapping):
        names = {task: names for task, classes in num_classes.items() if classes == len(names)}
    return {
        task: checked_class_names(names[task], task, classes)
        for task, classes in num_classes.items()
        if task in names
    }


def class_names_config(
    names: Mapping[str, Sequence[str]], num_classes: Mapping[str, int]
) -> list[str] | dict[str, list[str]]:
    """Return class names as JSON from which `class_names_by_task` restores them.

    Args:
        names: `{task: names}`.
        num_classes: `{task: number of classes}` of the tasks of class ids.

    Returns:
        One list where it is enough, else `{task: names}`.
    """
    for shared in names.values():
        if class_names_by_task(shared, num_classes) == names:
            return list(shared)
    return {task: list(of_task) for task, of_task in names.items()} or []


def assigned_class_names(
    names: Sequence[str] | Mapping[str, Sequence[str]],
    channels: Mapping[str, int],
    objects: Mapping[str, _Task],
) -> dict[str, tuple[str, ...]]:
    """Return `{task: class names}`.

    Args:
        names: `{task: names}`, or one sequence for every task of class ids with that many channels.
        channels: `{task: channels}` of all tasks.
        objects: `{task: mtl_tf.Task}`; the names of these objects win.

    Raises:
        ValueError: for names of a task without classes, or that do not fit the channels.
    """
    kinds = KINDS | {name: task.kind for name, task in objects.items()}
    if isinstance(names, Mapping):
        wrong = [
            name
            for name in names
            if name not in channels or kinds.get(name, TargetKind.CLASSES) != TargetKind.CLASSES
        ]
        if wrong:
            raise ValueError(
                "class_names must be {task: names} of tasks of class ids among "
                f"{list(channels)}. Received names for {wrong}"
            )
        classes = {name: channels[name] for name in names}
    else:
        classes = {n: c for n, c in channels.items() if kinds.get(n) is TargetKind.CLASSES}
    of_objects = {name: task.class_names for name, task in objects.items() if task.class_names}
    others = {name: c for name, c in classes.items() if name not in of_objects}
    return class_names_by_task(names, others) | of_objects
