"""Metric sums of single images, for the metrics of any selection of images."""

import dataclasses
import io
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation.task_metrics import TaskMetrics
from mtl_tf.metrics import edge_scores
from mtl_tf.task_config import task_config, tasks_from_config
from mtl_tf.tasks import TASKS, Task, as_tasks

Sums = Mapping[str, Mapping[str, np.ndarray]]
_CHUNK = 64  # selections whose sums are computed together
_MAX_BYTES = 1 << 31  # of all sums
_MAX_CHANNELS = 1 << 12  # metrics of classes keep the square of it
EDGE_COUNTS = "edge_counts"
"""Name of the boundary benchmark's counts `[N, 99, 4]` among the sums of a task."""


@dataclasses.dataclass(frozen=True)
class ImageStates:
    """Metric sums of each image.

    Source: this library.

    Attributes:
        tasks: `{name: task}`.
        sums: `{task: {variable of its metric: [N, ...]}}` of N images.
        fingerprints: `[N]`, a checksum of each image's targets, to check that two runs were
            evaluated on the same images.

    Examples:
        >>> tasks = as_tasks({"depth": 1})
        >>> states = ImageStates({t.name: t for t in tasks}, {}, np.zeros(3, np.uint32))
        >>> len(states)
        3
    """

    tasks: dict[str, Task]
    sums: Sums
    fingerprints: np.ndarray

    def __len__(self) -> int:
        return len(self.fingerprints)

    def results(self) -> dict[str, dict[str, float]]:
        """Return the metrics over all images: `{task: {metric: value}}`."""
        return next(self.resampled(np.ones((1, len(self)))))

    def resampled(self, weights: np.ndarray) -> Iterator[dict[str, dict[str, float]]]:
        """Yield the metrics of selections of the images.

        Args:
            weights: `[R, N]`, count of each image in each selection.

        Yields:
            `{task: {metric: value}}` of each selection.
        """
        metrics_of = _metrics_of_sums(self.tasks, is_compiled=len(weights) > 1)
        for start in range(0, len(weights), _CHUNK):
            rows = weights[start : start + _CHUNK].astype(np.float64)
            totals = {
                task: {n: _weighted(rows, array) for n, array in sums.items() if n != EDGE_COUNTS}
                for task, sums in self.sums.items()
            }
            for i, row in enumerate(rows):
                of_tasks = {t: {name: x[i] for name, x in of.items()} for t, of in totals.items()}
                results = _as_floats(metrics_of(of_tasks))
                for task, sums in self.sums.items():
                    if EDGE_COUNTS in sums:
                        results[task] |= _edge_results(sums[EDGE_COUNTS], row)
                yield results

    def of_each_image(self) -> Iterator[dict[str, dict[str, float]]]:
        """Yield the metrics of each image alone: `{task: {metric: value}}`."""
        metrics_of = _metrics_of_sums(self.tasks, is_compiled=len(self) > 1)
        for i in range(len(self)):
            of_tasks = {
                task: {n: np.asarray(x[i], np.float64) for n, x in sums.items() if n != EDGE_COUNTS}
                for task, sums in self.sums.items()
            }
            results = _as_floats(metrics_of(of_tasks))
            for task, sums in self.sums.items():
                if EDGE_COUNTS in sums:
                    results[task] |= _edge_results(sums[EDGE_COUNTS][i : i + 1], np.ones(1))
            yield results

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.npz` file, atomically.

        Args:
            path: of the file; its folder must exist.
        """
        arrays: dict[str, Any] = {
            f"{task}/{name}": array
            for task, sums in self.sums.items()
            for name, array in sums.items()
        }
        buffer = io.BytesIO()
        tasks = {name: _stored(task) for name, task in self.tasks.items()}
        arrays["tasks"] = np.frombuffer(json.dumps(tasks).encode(), np.uint8)
        np.savez_compressed(buffer, fingerprints=self.fingerprints, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ImageStates":
        """Read a file that `save` wrote.

        Args:
            path: path of the file, or of a run folder with `images.npz`.

        Raises:
            ValueError: if it is missing, damaged or something else.
        """
        file = pathlib.Path(path)
        file = file / "images.npz" if file.is_dir() else file
        try:
            if file.exists() and not file.is_file():  # reading a pipe would never end
                raise ValueError("it is a folder, pipe or device")
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                unpacked = sum(member.file_size for member in stored.zip.infolist())
                if unpacked > _MAX_BYTES:
                    raise ValueError(f"it unpacks into {unpacked >> 20} MiB")
                tasks = _read_tasks(json.loads(stored["tasks"].tobytes()))
                sums: dict[str, dict[str, np.ndarray]] = {task: {} for task in tasks}
                for key in set(stored.files) - {"tasks", "fingerprints"}:
                    task = max((t for t in tasks if key.startswith(f"{t}/")), key=len)
                    sums[task][key.removeprefix(f"{task}/")] = stored[key]
                states = cls(tasks, sums, stored["fingerprints"])
                _check(states)
                return states
        except FileNotFoundError as error:
            raise ValueError(f"{file} is missing: evaluate the run first") from error
        except Exception as error:  # zipfile, NumPy and JSON raise many kinds
            raise ValueError(f"{file} holds no results of single images: {error!r}") from error


def _check(states: ImageStates) -> None:
    """Check that the sums are those of the tasks' metrics, for each image."""
    if states.fingerprints.ndim != 1 or states.fingerprints.dtype.kind not in "iu":
        raise ValueError("the fingerprints must be one whole number for each image")
    for name, task in states.tasks.items():
        if not 1 <= task.channels <= _MAX_CHANNELS:
            raise ValueError(f"task {name!r} must have 1..{_MAX_CHANNELS} channels")
        shapes = {key: tuple(v.shape) for key, v in TaskMetrics(task).variables().items()}
        if EDGE_COUNTS in states.sums[name]:
            shapes[EDGE_COUNTS] = (99, 4)
        sums = states.sums[name]
        received = {key: array.shape[1:] for key, array in sums.items()}
        is_valid = all(len(x) == len(states) and x.dtype.kind in "biuf" for x in sums.values())
        if received != shapes or not is_valid:
            raise ValueError(
                f"task {name!r} must have sums of shapes {shapes} for each of {len(states)} "
                f"images. Received: {received}"
            )


def _as_floats(results: Mapping[str, Mapping[str, tf.Tensor]]) -> dict[str, dict[str, float]]:
    return {task: {n: float(v) for n, v in values.items()} for task, values in results.items()}


def _edge_results(counts: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Return the results of the boundary benchmark from the counts `[N, 99, 4]` of N images."""
    scores = edge_scores(counts, weights)
    return {name: scores[name] for name in ("ods_f", "ois_f", "ap")}


def _metrics_of_sums(
    tasks: Mapping[str, Task], is_compiled: bool
) -> Callable[[Sums], dict[str, dict[str, tf.Tensor]]]:
    """Return a function from the sums of all tasks by name to their metrics."""
    metrics = {name: TaskMetrics(task) for name, task in tasks.items()}

    def metrics_of(sums: Sums) -> dict[str, dict[str, tf.Tensor]]:
        return {task: metrics[task].of_sums(of_task) for task, of_task in sums.items()}

    return tf.function(metrics_of, autograph=False) if is_compiled else metrics_of


def _stored(task: Task) -> int | dict[str, Any]:
    """Return a task as JSON: its channels if the rest is known by name, else its configuration."""
    known = TASKS.get(task.name)
    is_known = known is not None and dataclasses.replace(known, channels=task.channels) == task
    return task.channels if is_known else task_config(task)


def _read_tasks(stored: Mapping[str, Any]) -> dict[str, Task]:
    tasks = [
        *(as_tasks({n: c})[0] for n, c in stored.items() if isinstance(c, int)),
        *tasks_from_config([c for c in stored.values() if not isinstance(c, int)]),
    ]
    return {name: next(task for task in tasks if task.name == name) for name in stored}


def _weighted(rows: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the sums `[R, ...]` over N images `[N, ...]` with weights `[R, N]`."""
    flat = sums.reshape(len(sums), -1).astype(np.float64)
    return (rows @ flat).reshape(len(rows), *sums.shape[1:])


def fingerprint(targets: Mapping[str, np.ndarray]) -> int:
    """Return a checksum of the targets of one image."""
    checksum = 0
    for task in sorted(targets):
        checksum = zlib.crc32(np.ascontiguousarray(targets[task]).tobytes(), checksum)
    return checksum
