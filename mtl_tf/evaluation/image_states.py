"""What each image adds to every metric: enough to judge any selection of the images again."""

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

from mtl_tf.evaluation.files import write_atomically
from mtl_tf.metrics import edge_scores
from mtl_tf.tasks import Task, as_tasks

Sums = Mapping[str, Mapping[str, np.ndarray]]
_AT_ONCE = 64  # selections
EDGE_COUNTS = "edge_counts"
"""Name of the boundary benchmark's counts `[N, 99, 4]` among the sums of a task."""


@dataclasses.dataclass(frozen=True)
class ImageStates:
    """The sums that metrics are made of, of each image by itself.

    Source: this library.

    Attributes:
        tasks: `{task: channels}`.
        sums: `{task: {variable of its metric: [N, ...]}}` of N images.
        fingerprints: `[N]`, a checksum of each image's targets, which tells whether two runs were
            judged on the same images.
    """

    tasks: dict[str, int]
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
        judges = {task.name: _judge(task, compiled=many) for task in as_tasks(self.tasks)}
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
        arrays["tasks"] = np.frombuffer(json.dumps(self.tasks).encode(), np.uint8)
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
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                tasks = json.loads(stored["tasks"].tobytes())
                sums: dict[str, dict[str, np.ndarray]] = {task: {} for task in tasks}
                for key in stored.files:
                    if "/" in key:
                        task, name = key.split("/", 1)
                        sums[task][name] = stored[key]
                return cls(tasks, sums, stored["fingerprints"])
        except FileNotFoundError as error:
            raise ValueError(f"{file} is missing: evaluate the run first") from error
        except Exception as error:  # zipfile, NumPy and JSON raise many kinds
            raise ValueError(f"{file} holds no results of single images: {error!r}") from error


def _judge(task: Task, compiled: bool) -> Callable[[dict[str, np.ndarray]], dict[str, Any]]:
    """The results of a task's metric from its sums by name."""
    metric = task.metrics(task.channels)[0]

    def result(sums: dict[str, Any]) -> dict[str, Any]:
        for variable in metric.variables:
            variable.assign(sums[variable.name])
        return metric.result()

    return tf.function(result, autograph=False) if compiled else result


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


def compact(array: np.ndarray) -> np.ndarray:
    """Counts as small integers; other sums as they are."""
    if array.size > 1 and (array == np.rint(array)).all() and array.min() >= 0:
        return array.astype(np.uint32 if array.max() < 2**32 else np.float64)
    return array
