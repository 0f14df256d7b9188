"""The metrics of a task, image by image: what each image adds to every sum they are made of."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.metrics import DenseMetric
from mtl_tf.tasks import Task


class TaskMetrics:
    """The metrics of a task as one function of named sums.

    Args:
        task: the task; all its metrics count.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.metrics = task.made_metrics()

    def variables(self) -> dict[str, Any]:
        """The sums of all metrics by name; those of a second metric begin with its number."""
        return {
            f"{i}:{variable.name}" if i else variable.name: variable
            for i, metric in enumerate(self.metrics)
            for variable in metric.variables
        }

    def result(self) -> dict[str, Any]:
        """The results of all metrics by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results |= value if isinstance(value, dict) else {metric.name: value}
        return results

    def of_sums(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """The results for other sums."""
        for name, variable in self.variables().items():
            variable.assign(tf.cast(sums[name], variable.dtype))
        return self.result()


class TaskJudge:
    """Judges one image after the other.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        self._of_image = TaskMetrics(task)
        self._of_all = TaskMetrics(task)  # what Keras itself would say, for metrics not of ours
        self._sums: dict[str, list[np.ndarray]] = {v: [] for v in self._of_image.variables()}

    def add(self, target: np.ndarray, prediction: tf.Tensor, mask: np.ndarray) -> None:
        """Adds an image: target `[H, W, C]`, raw prediction `[H, W, C]` and bool mask `[H, W]`."""
        target = np.where(mask[..., None], target, 0).astype(target.dtype)
        one = tf.convert_to_tensor(target)[None], prediction[None]
        for mine, whole in zip(self._of_image.metrics, self._of_all.metrics, strict=True):
            counts = isinstance(mine, keras.metrics.IoU)
            weights = mask[None].astype(mine.dtype if counts else np.float32)
            mine.reset_state()
            try:
                mine.update_state(*one, weights)
                if not isinstance(whole, DenseMetric):
                    whole.update_state(*one, weights)
            except Exception as error:  # a user's metric may raise anything
                raise ValueError(
                    f"Metric {mine.name!r} ({type(mine).__name__}) of task "
                    f"{self._of_all.task.name!r} fails on a target {one[0].shape}, a prediction "
                    f"{one[1].shape} and a mask {weights.shape}: {error}"
                ) from error
        variables = self._of_image.variables()
        if variables.keys() != self._sums.keys():
            raise ValueError(_no_sums(self._of_all.task, "a metric that makes variables late"))
        for name, variable in variables.items():
            self._sums[name].append(_compact(variable.numpy()))

    def sums(self) -> dict[str, np.ndarray]:
        """`{variable: [N, ...]}` of N images.

        Raises:
            ValueError: if a metric is no function of sums over images.
        """
        sums = {name: np.stack(values) for name, values in self._sums.items()}
        totals = {name: values.sum(0, dtype=np.float64) for name, values in sums.items()}
        self._of_image.of_sums(totals)
        for mine, whole in zip(self._of_image.metrics, self._of_all.metrics, strict=True):
            if isinstance(whole, DenseMetric):
                continue
            ours, theirs = (keras.ops.convert_to_numpy(m.result()) for m in (mine, whole))
            if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-6, equal_nan=True):
                raise ValueError(_no_sums(self._of_all.task, f"metric {whole.name!r}"))
        return sums


def _no_sums(task: Task, metric: str) -> str:
    return (
        f"Task {task.name!r} has {metric}, which cannot be computed from sums over images, as "
        "evaluate and its intervals need: derive it from mtl_tf.metrics.DenseMetric, or leave it "
        "to MultiTaskTrainer.evaluate"
    )


def _compact(array: np.ndarray) -> np.ndarray:
    """Counts as small integers; other sums as they are."""
    if array.size > 1 and (array == np.rint(array)).all() and array.min() >= 0:
        return array.astype(np.uint32 if array.max() < 2**32 else np.float64)
    return array
