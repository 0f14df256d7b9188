"""Result files of the survey's official repository, read and written."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from mtl_tf.atomic_files import write_atomically

DATABASES = ("NYUD", "PASCALContext")


class _Metric(NamedTuple):
    """Name here, name in the official files, and factor from values here to values there."""

    name: str
    official_name: str
    factor: float = 1.0


_TASKS = {
    "semseg": ("semseg", [_Metric("miou", "mIoU")]),
    "human_parts": ("human_parts", [_Metric("miou", "mIoU")]),
    "saliency": ("sal", [_Metric("miou", "mIoU"), _Metric("max_f", "maxF")]),
    "depth": ("depth", [_Metric("rmse", "rmse"), _Metric("log_rmse", "log_rmse")]),
    "normals": (
        "normals",
        [
            _Metric("mean", "mean"),
            _Metric("median", "median"),
            _Metric("rmse", "rmse"),
            _Metric("within_11_25", "11.25", 100.0),
            _Metric("within_22_5", "22.5", 100.0),
            _Metric("within_30", "30", 100.0),
        ],
    ),
    "edges": ("edge", [_Metric("ods_f", "odsF"), _Metric("ois_f", "oisF"), _Metric("ap", "AP")]),
}


def read_official_results(
    folder: str | os.PathLike[str], database: str
) -> dict[str, dict[str, float]]:
    """Read results of the official repository, `DATABASE_test_TASK.json`.

    Source: Vandenhende et al., TPAMI 2021, the official code.

    Args:
        folder: folder with the files of some tasks.
        database: `"NYUD"` or `"PASCALContext"`.

    Returns:
        `{task: {metric: value}}` with the names and units of `evaluate`, of the metrics in the
        files.

    Raises:
        ValueError: for an unknown database, if there is no file, or one is damaged.
    """
    results: dict[str, dict[str, float]] = {}
    for task, (name, metrics) in _TASKS.items():
        path = _path(folder, database, name)
        if not path.is_file():
            continue
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            results[task] = {
                metric.name: float(stored[metric.official_name]) / metric.factor
                for metric in metrics
                if metric.official_name in stored
            }
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if not results[task]:
            raise ValueError(f"{path} has none of {[m.official_name for m in metrics]}: {stored}")
    if not results:
        raise ValueError(f"{folder} holds no {database}_test_TASK.json")
    return results


def write_official_results(
    folder: str | os.PathLike[str], results: Mapping[str, Mapping[str, float]], database: str
) -> list[pathlib.Path]:
    """Write results in the format of the official repository, as baselines for its code.

    Source: Vandenhende et al., TPAMI 2021, the official code.

    Args:
        folder: where to write; created if missing.
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
        name, metrics = _TASKS.get(task, (task, []))
        stored = {m.official_name: values[m.name] * m.factor for m in metrics if m.name in values}
        if not stored:
            raise ValueError(
                f"The official files have no metric of {task!r} among {sorted(values)}: they have "
                f"{[metric.name for metric in metrics]}"
            )
        written.append(_path(folder, database, name))
        write_atomically(written[-1], json.dumps(stored))
    return written


def _path(folder: str | os.PathLike[str], database: str, name: str) -> pathlib.Path:
    if database not in DATABASES:
        raise ValueError(f"database must be one of {DATABASES}. Received: {database!r}")
    return pathlib.Path(folder) / f"{database}_test_{name}.json"
