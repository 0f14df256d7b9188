"""Atomic files: readers never see a partial file, and writing follows no link out of the folder."""

import json
import os
import pathlib
from typing import Any, TypeAlias, overload

_LARGEST_JSON = 1 << 28  # bytes
_Json: TypeAlias = Any  # dict, list, str, float, int, bool or None


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file atomically: `path` has the old content or all of the new.

    The content is written to a temporary file in the same folder, which is then renamed. A link at
    `path` is replaced, not followed.

    Args:
        path: path of the file; its folder must exist.
        content: text (written as UTF-8) or bytes.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # it could be a link to another folder
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)


def open_no_link(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file but no symbolic link, as `opener` of `open` (where the system supports it)."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@overload
def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]: ...
@overload
def read_json(path: str | os.PathLike[str], what: str, kind: type) -> _Json: ...
def read_json(path: str | os.PathLike[str], what: str, kind: type = dict) -> _Json:
    """Read a JSON file.

    Args:
        path: path of the file.
        what: description of its content for the error, such as `"the results of a run"`.
        kind: required type of the content.

    Returns:
        The content.

    Raises:
        ValueError: with the path, if there is no such file, or it is damaged or of another type.
    """
    path = pathlib.Path(path)
    try:
        if not path.is_file():  # reading a pipe would block
            raise ValueError("there is no such file")
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"it has more than {_LARGEST_JSON >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"it must hold a JSON {kind.__name__}, not {type(content).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not {what}: {error}") from error
    return content


def read_summary(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the `results.json` of a finished run.

    Args:
        folder: folder of the run.

    Returns:
        `{"results": {task: {metric: number}}, ...}`.

    Raises:
        ValueError: if there is no such file, or it is damaged.
    """
    path = pathlib.Path(folder) / "results.json"
    summary = read_json(path, "the results of a finished run")
    results = summary.get("results")
    is_valid = isinstance(results, dict) and all(
        isinstance(values, dict) and all(type(v) in (int, float) for v in values.values())
        for values in results.values()
    )
    kinds = {"history": list, "environment": dict, "kept": dict}
    if not is_valid or not all(
        isinstance(summary.get(k, kind()), kind) for k, kind in kinds.items()
    ):
        raise ValueError(
            f"{path} is not the results of a finished run: it must hold results as "
            "{task: {metric: number}}, a list of history, objects of environment and kept"
        )
    return summary
