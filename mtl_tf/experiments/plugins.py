"""Custom tasks and data sets, named by text in a configuration or on the command line.

========================= =====================================================
text                      object
========================= =====================================================
`depth`                   a task of `mtl_tf.TASKS`
`path/to/file.py:NAME`    the object `NAME` of a Python file
`package.module:NAME`     the object `NAME` of an importable module
`heat`                    an entry point of the group `mtl_tf.tasks` (tasks only)
========================= =====================================================

The functions `checked_...` look at the text only. The functions `load_...` import the file or
module and so run its code: call them only for text from the user, or from the configuration of a
run that the user asked to resume or evaluate.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from mtl_tf import data
from mtl_tf.tasks import TASKS, Task, as_tasks

GROUP = "mtl_tf.tasks"
"""Entry point group of the tasks in installed packages."""

_FORMS = "path/to/file.py:NAME or package.module:NAME"


def checked_task(text: str, may_be_of_data: bool = False) -> str:
    """Return the text of a task with an absolute path; import nothing.

    Args:
        text: one of the four forms above.
        may_be_of_data: whether any name without a colon may be that of a task of the data set.

    Raises:
        ValueError: for any other text.
    """
    if may_be_of_data and text.strip() and text.isprintable() and ":" not in text:
        return text
    if text in TASKS or _entry_point(text) is not None:
        return text
    if ":" not in text:
        raise ValueError(f"must be one of {', '.join(TASKS)}, or {_FORMS} for a custom task")
    return _checked_reference(text)


def checked_dataset(text: str) -> str:
    """Return the text of a data set with an absolute path; import nothing.

    Args:
        text: a name from `mtl_tf.data.TABLE`, or a file or module and a name.

    Raises:
        ValueError: for any other text.
    """
    if text in data.TABLE:
        return text
    if ":" not in text:
        raise ValueError(f"must be one of {', '.join(data.TABLE)}, or {_FORMS} for a custom one")
    return _checked_reference(text)


def load_tasks(texts: Iterable[str], of_data: Mapping[str, Task] | None = None) -> dict[str, Task]:
    """Load tasks.

    Args:
        texts: one of the four forms above for each task, or a name in `of_data`.
        of_data: `{name: task}` that the data set defines; they precede known tasks.

    Returns:
        `{name: task}` in the order of `texts`; the name is that of the `Task` object.

    Raises:
        ValueError: if a file or module cannot be imported, has no such object, or the object is no
            task; if two tasks have one name.
    """
    tasks = []
    for text in texts:
        if of_data and text in of_data:
            tasks.append(of_data[text])
            continue
        try:
            known = checked_task(text)
        except ValueError as error:
            raise ValueError(f"Task {text!r} {error}") from None
        tasks.append(_load_task(known))
    return {task.name: task for task in as_tasks(tasks)}


def load_dataset(text: str, **arguments: Any) -> data.DenseDataset:
    """Load the class or function of a data set and call it.

    Args:
        text: a file or module and the name of a `DenseDataset` subclass, or of a function that
            returns a `DenseDataset`.
        **arguments: keyword arguments of the call.

    Raises:
        ValueError: if the file or module cannot be imported, has no such object, or the object does
            not return a data set for these arguments.
    """
    make = _load(text)
    if not callable(make):
        raise ValueError(
            f"{text} must be a subclass of mtl_tf.data.DenseDataset, or a function that returns "
            f"such a data set. Received: {make!r}"
        )
    dataset = _call(make, text, **arguments)
    if not isinstance(dataset, data.DenseDataset):
        raise ValueError(f"{text} must return a mtl_tf.data.DenseDataset. It returned: {dataset!r}")
    return dataset


def _load_task(text: str) -> Task:
    if text in TASKS:
        return TASKS[text]
    entry_point = _entry_point(text)
    if entry_point is not None:
        with _as_value_error(f"The entry point {text} of {GROUP} cannot be loaded", ""):
            task = entry_point.load()
    else:
        task = _load(text)
    if callable(task):
        task = _call(task, text)
    if not isinstance(task, Task):
        raise ValueError(
            f"{text} must be an mtl_tf.Task, or a function without arguments that returns one. "
            f"Received: {task!r}"
        )
    return task


def _call(function: Callable[..., object], text: str, **arguments: Any) -> object:
    try:
        return function(**arguments)
    except data.DataError:
        raise
    except TypeError as error:
        names = f" with the arguments {', '.join(arguments)}" if arguments else ""
        raise ValueError(f"{text} cannot be called{names}: {error}") from error


# === Texts ===


def _checked_reference(text: str) -> str:
    source, _, name = text.rpartition(":")
    if name.isidentifier():
        if source.endswith(".py"):
            return f"{pathlib.Path(source).expanduser().resolve()}:{name}"
        if all(part.isidentifier() for part in source.split(".")):
            return text
    raise ValueError(f"must be a known name, or {_FORMS}")


def _entry_point(name: str) -> importlib.metadata.EntryPoint | None:
    return next(iter(importlib.metadata.entry_points(group=GROUP, name=name)), None)


# === Modules ===


def _load(text: str) -> object:
    """Import the file or module of a reference and return its object."""
    source, _, name = text.rpartition(":")
    if source.endswith(".py"):
        module = _import_file(pathlib.Path(source))
    else:
        with _as_value_error(f"{source} cannot be imported", source):
            module = importlib.import_module(source)
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise ValueError(f"{source} has no {name!r}. It has: {names}")
    return getattr(module, name)


def _import_file(path: pathlib.Path) -> ModuleType:
    """Import a Python file once.

    Its folder is appended to `sys.path`, so that it can import its neighbours and other programs
    import it under the same name. Where that name is taken, it gets one with a checksum.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: give the Python file of a task or data set")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    importlib.invalidate_caches()
    with _as_value_error(f"{path} cannot be imported", str(path)):
        if _finds(path.stem, path):
            return importlib.import_module(path.stem)
        name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return sys.modules[name]
        spec: Any = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def _finds(name: str, path: pathlib.Path) -> bool:
    """Return whether the module of that name is this file."""
    if not name.isidentifier():
        return False
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # `__main__`
        return False
    return spec is not None and spec.origin is not None and pathlib.Path(spec.origin) == path


@contextlib.contextmanager
def _as_value_error(text: str, source: str) -> Iterator[None]:
    """Raise errors of imported code as a `ValueError` with the line of the file, if it has one."""
    try:
        yield
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == source]
        where = f", line {lines[-1]}" if lines else ""
        raise ValueError(f"{text}{where}: {type(error).__name__}: {error}") from error
