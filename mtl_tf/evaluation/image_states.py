"""Per-image metric sums, from which the metrics of any selection of images follow."""

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
from mtl_tf.evaluation.task_judge import TaskMetrics
from mtl_tf.metrics import edge_scores
from mtl_tf.task_config import task_config, tasks_from_config
from mtl_tf.tasks import TASKS, Task, as_tasks

Sums = Mapping[str, Mapping[str, np.ndarray]]
_AT_ONCE = 64  # selections
_LARGEST = 1 << 31  # bytes of all sums
_MOST_CHANNELS = 1 << 12  # metrics of classes keep the square of it
EDGE_COUNTS = "edge_counts"
"""Name of the boundary benchmark's counts `[N, 99, 4]` among the sums of a task."""


@dataclasses.dataclass(frozen=True)
class ImageStates:
    """The sums that metrics are made of, of each image by itself.

    Source: this library.

    Attributes:
        tasks: `{name: task}`.
        sums: `{task: {variable of its metric: [N, ...]}}` of N images.
        fingerprints: `[N]`, a checksum of each image's targets, which tells whether two runs were
            judged on the same images.
    """

    tasks: dict[str, Task]
    sums: Sums
    fingerprints: np.ndarray

    def __len__(self) -> int:
        return len(self.fingerprints)

    def results(self) -> dict[str, dict[str, float]]:
        """Metrics over all images: `{task: {metric: value}}`."""
        return next(self.resampled(np.ones((1, len(self)))))

    def resampled(self, weights: np.ndarray) -> Iterator[dict[str, dict[str, float]]]:
        """Metrics of selections of the images.

        Args:
            weights: `[R, N]`: how often each selection has each image.

        Returns:
            `{task: {metric: value}}` of one selection after the other.
        """
        many = len(weights) > 1
        judges = {name: _judge(task, compiled=many) for name, task in self.tasks.items()}
        for begin in range(0, len(weights), _AT_ONCE):
            rows = weights[begin : begin + _AT_ONCE].astype(np.float64)
            totals = {
                task: {name: _weighted(rows, array) for name, array in sums.items()
                       if name != EDGE_COUNTS}
                for task, sums in self.sums.items()
            }  # fmt: skip
            for number, row in enumerate(rows):
                found: dict[str, dict[str, float]] = {}
                for task, sums in self.sums.items():
                    result = judges[task]({k: x[number] for k, x in totals[task].items()})
                    found[task] = {key: float(value) for key, value in result.items()}
                    if EDGE_COUNTS in sums:
                        scores = edge_scores(sums[EDGE_COUNTS], row)
                        found[task] |= {key: scores[key] for key in ("ods_f", "ois_f", "ap")}
                yield found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything into one `.npz` file, whole or not at all.

        Args:
            path: of the file; its folder must exist.
        """
        arrays: dict[str, Any] = {
            f"{task}/{name}": array for task, sums in self.sums.items()
            for name, array in sums.items()
        }  # fmt: skip
        buffer = io.BytesIO()
        tasks = {name: _stored(task) for name, task in self.tasks.items()}
        arrays["tasks"] = np.frombuffer(json.dumps(tasks).encode(), np.uint8)
        np.savez_compressed(buffer, fingerprints=self.fingerprints, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ImageStates":
        """Reads what `save` wrote.

        Args:
            path: of the file, or of the folder of a run, which holds it as `images.npz`.

        Raises:
            ValueError: if it is missing, damaged or something else.
        """
        file = pathlib.Path(path)
        file = file / "images.npz" if file.is_dir() else file
        try:
            if file.exists() and not file.is_file():  # a pipe would be read for ever
                raise ValueError("it is a folder, pipe or device")
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                unpacked = sum(member.file_size for member in stored.zip.infolist())
                if unpacked > _LARGEST:
                    raise ValueError(f"it unpacks into {unpacked >> 20} MiB")
                tasks = _read_tasks(json.loads(stored["tasks"].tobytes()))
                sums: dict[str, dict[str, np.ndarray]] = {task: {} for task in tasks}
                for key in set(stored.files) - {"tasks", "fingerprints"}:
                    task = max((t for t in tasks if key.startswith(f"{t}/")), key=len)
                    sums[task][key.removeprefix(f"{task}/")] = stored[key]
                found = cls(tasks, sums, stored["fingerprints"])
                _check(found)
                return found
        except FileNotFoundError as error:
            raise ValueError(f"{file} is missing: evaluate the run first") from error
        except Exception as error:  # zipfile, NumPy and JSON raise many kinds
            raise ValueError(f"{file} holds no results of single images: {error!r}") from error


def _check(states: ImageStates) -> None:
    """`ValueError` if the sums are not those of the tasks' metrics, for each of the images."""
    if states.fingerprints.ndim != 1 or states.fingerprints.dtype.kind not in "iu":
        raise ValueError("the fingerprints must be one whole number for each image")
    for name, task in states.tasks.items():
        if not 1 <= task.channels <= _MOST_CHANNELS:
            raise ValueError(f"task {name!r} must have 1..{_MOST_CHANNELS} channels")
        shapes = {key: tuple(v.shape) for key, v in TaskMetrics(task).variables().items()}
        if EDGE_COUNTS in states.sums[name]:
            shapes[EDGE_COUNTS] = (99, 4)
        found = {key: sums.shape[1:] for key, sums in states.sums[name].items()}
        is_sound = all(len(x) == len(states) and x.dtype.kind in "biuf"
                       for x in states.sums[name].values())  # fmt: skip
        if found != shapes or not is_sound:
            raise ValueError(
                f"task {name!r} must have sums of shapes {shapes} for each of {len(states)} "
                f"images. Received: {found}"
            )


def _judge(task: Task, compiled: bool) -> Callable[[dict[str, np.ndarray]], dict[str, Any]]:
    """The results of a task's metrics from their sums by name."""
    metrics = TaskMetrics(task)
    return tf.function(metrics.of_sums, autograph=False) if compiled else metrics.of_sums


def _stored(task: Task) -> Any:
    """A task as JSON: its channels if the library knows the rest, else its configuration."""
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
    """`[R, ...]`: the sums over N images `[N, ...]` for weights `[R, N]`."""
    flat = sums.reshape(len(sums), -1).astype(np.float64)
    return (rows @ flat).reshape(len(rows), *sums.shape[1:])


def fingerprint(targets: Mapping[str, Any]) -> int:
    """A checksum of one image's targets."""
    checksum = 0
    for task in sorted(targets):
        checksum = zlib.crc32(np.ascontiguousarray(targets[task]).tobytes(), checksum)
    return checksum
