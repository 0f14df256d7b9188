"""Result files of the survey's official repository, read and written."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from mtl_tf.atomic_files import write_atomically

DATABASES = ("NYUD", "PASCALContext")


class _Row(NamedTuple):
    """A metric here, its name there, and what a value here is multiplied with."""

    ours: str
    theirs: str
    factor: float = 1.0


_TASKS = {
    "semseg": ("semseg", [_Row("miou", "mIoU")]),
    "human_parts": ("human_parts", [_Row("miou", "mIoU")]),
    "saliency": ("sal", [_Row("miou", "mIoU"), _Row("max_f", "maxF")]),
    "depth": ("depth", [_Row("rmse", "rmse"), _Row("log_rmse", "log_rmse")]),
    "normals": ("normals", [
        _Row("mean", "mean"), _Row("median", "median"), _Row("rmse", "rmse"),
        _Row("within_11_25", "11.25", 100.0), _Row("within_22_5", "22.5", 100.0),
        _Row("within_30", "30", 100.0),
    ]),
    "edges": ("edge", [_Row("ods_f", "odsF"), _Row("ois_f", "oisF"), _Row("ap", "AP")]),
}  # fmt: skip


def read_official_results(
    folder: str | os.PathLike[str], database: str
) -> dict[str, dict[str, float]]:
    """Results as the official repository writes them, `DATABASE_test_TASK.json`.

    Source: Vandenhende et al., TPAMI 2021, the official code.

    Args:
        folder: with the files of some tasks.
        database: `"NYUD"` or `"PASCALContext"`.

    Returns:
        `{task: {metric: value}}` with the names and units of `evaluate`, as far as the files have
        them.

    Raises:
        ValueError: for an unknown database, if there is no file, or one is damaged.
    """
    found: dict[str, dict[str, float]] = {}
    for task, (name, rows) in _TASKS.items():
        path = _path(folder, database, name)
        if not path.is_file():
            continue
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            found[task] = {
                row.ours: float(stored[row.theirs]) / row.factor
                for row in rows
                if row.theirs in stored
            }
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if not found[task]:
            raise ValueError(f"{path} has none of {[row.theirs for row in rows]}: {stored}")
    if not found:
        raise ValueError(f"{folder} holds no {database}_test_TASK.json")
    return found


def write_official_results(
    folder: str | os.PathLike[str], results: Mapping[str, Mapping[str, float]], database: str
) -> list[pathlib.Path]:
    """Writes results as the official repository does, so that its code can use them as baselines.

    Source: Vandenhende et al., TPAMI 2021, the official code.

    Args:
        folder: where to write; made if missing.
        results: `{task: {metric: value}}`, as `evaluate` returns it. Edges need the boundary
            benchmark (`edge_tolerance`).
        database: `"NYUD"` or `"PASCALContext"`.

    Returns:
        Paths of the files.

    Raises:
        ValueError: for an unknown database, or a task without any metric of the official files.
    """
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for task, values in results.items():
        name, rows = _TASKS.get(task, (task, []))
        stored = {row.theirs: values[row.ours] * row.factor for row in rows if row.ours in values}
        if not stored:
            raise ValueError(
                f"The official files have no metric of {task!r} among {sorted(values)}: they have "
                f"{[row.ours for row in rows]}"
            )
        written.append(_path(folder, database, name))
        write_atomically(written[-1], json.dumps(stored))
    return written


def _path(folder: str | os.PathLike[str], database: str, name: str) -> pathlib.Path:
    if database not in DATABASES:
        raise ValueError(f"database must be one of {DATABASES}. Received: {database!r}")
    return pathlib.Path(folder) / f"{database}_test_{name}.json"
