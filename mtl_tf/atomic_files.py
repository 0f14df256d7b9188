"""Files of runs: no reader sees half of one, and writing follows no link out of the folder."""

import json
import os
import pathlib
from typing import Any

_LARGEST_JSON = 1 << 28  # bytes


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file beside `path` and renames it: `path` holds the old content or all the new.

    A link at `path` is replaced, not followed.

    Args:
        path: of the file; its folder must exist.
        content: text (written as UTF-8) or bytes.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # it could be a link that leads elsewhere
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)


def open_no_link(path: str | os.PathLike[str], flags: int) -> int:
    """An `opener` of `open` that refuses a symbolic link, where the system can."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def read_json(path: str | os.PathLike[str], what: str, kind: type = dict) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        what: what it should be, for the error: `"the results of a run"`.
        kind: the type of what it must hold.

    Raises:
        ValueError: naming the file, if it is no file, damaged, or holds something else.
    """
    path = pathlib.Path(path)
    try:
        if not path.is_file():  # a pipe would be read for ever
            raise ValueError("there is no such file")
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"it has more than {_LARGEST_JSON >> 20} MiB")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, kind):
            raise ValueError(f"it must hold a JSON {kind.__name__}, not {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not {what}: {error}") from error
    return found


def read_summary(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The `results.json` of a finished run, `{"results": {task: {metric: number}}, ...}`.

    Args:
        folder: of the run.

    Raises:
        ValueError: if there is none, or it is damaged.
    """
    path = pathlib.Path(folder) / "results.json"
    summary = read_json(path, "the results of a finished run")
    results = summary.get("results")
    is_sound = isinstance(results, dict) and all(
        isinstance(values, dict) and all(type(v) in (int, float) for v in values.values())
        for values in results.values()
    )
    kinds = {"history": list, "environment": dict, "kept": dict}
    if not is_sound or not all(
        isinstance(summary.get(k, kind()), kind) for k, kind in kinds.items()
    ):
        raise ValueError(
            f"{path} is not the results of a finished run: it must hold results as "
            "{task: {metric: number}}, a list of history, objects of environment and kept"
        )
    return summary
