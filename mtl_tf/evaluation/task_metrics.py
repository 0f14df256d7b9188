"""Metrics of a task as functions of sums, and the sums of single images."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.metrics import DenseMetric
from mtl_tf.tasks import Task
from mtl_tf.typing import TensorLike


class TaskMetrics:
    """All metrics of a task as one function of named sums.

    Args:
        task: the task.

    Examples:
        >>> from mtl_tf.tasks import TASKS
        >>> list(TaskMetrics(TASKS["normals"]).variables())[:3]
        ['count', 'total', 'total_square']
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.metrics = task.new_metrics()

    def variables(self) -> dict[str, keras.Variable]:
        """Return the sums of all metrics by name; those of metric 1, ... start with its number."""
        return {
            f"{i}:{variable.name}" if i else variable.name: variable
            for i, metric in enumerate(self.metrics)
            for variable in metric.variables
        }

    def result(self) -> dict[str, tf.Tensor]:
        """Return the results of all metrics by name."""
        results: dict[str, tf.Tensor] = {}
        for metric in self.metrics:
            value = metric.result()
            results |= value if isinstance(value, dict) else {metric.name: value}
        return results

    def of_sums(self, sums: Mapping[str, TensorLike]) -> dict[str, tf.Tensor]:
        """Assign sums by name and return the results."""
        for name, variable in self.variables().items():
            variable.assign(tf.cast(sums[name], variable.dtype))
        return self.result()


class ImageSums:
    """Metric sums of one image after the other.

    Metrics that are no `DenseMetric` are also updated over all images as Keras does, to check that
    their result is a function of the sums.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        self._task_metrics = TaskMetrics(task)
        metrics = self._task_metrics.metrics
        unchecked = [i for i, metric in enumerate(metrics) if not isinstance(metric, DenseMetric)]
        references = task.new_metrics() if unchecked else []
        self._references = {i: references[i] for i in unchecked}
        self._sums: dict[str, list[np.ndarray]] = {v: [] for v in self._task_metrics.variables()}

    def add(self, target: np.ndarray, prediction: tf.Tensor, mask: np.ndarray) -> None:
        """Append the sums of an image.

        Args:
            target: `[H, W, C]`, of whole images `[C]`.
            prediction: raw, `[H, W, C]`, of whole images `[C]`.
            mask: bool `[H, W]`, of whole images a bool.
        """
        task = self._task_metrics.task
        target = np.where(mask[..., None], target, 0).astype(target.dtype)
        y_true, y_pred = tf.convert_to_tensor(target)[None], prediction[None]
        for i, metric in enumerate(self._task_metrics.metrics):
            counts = isinstance(metric, keras.metrics.IoU)
            weights = mask[None].astype(metric.dtype if counts else np.float32)
            metric.reset_state()
            try:
                metric.update_state(y_true, y_pred, weights)
                if i in self._references:
                    self._references[i].update_state(y_true, y_pred, weights)
            except Exception as error:  # a user's metric may raise anything
                raise ValueError(
                    f"Metric {metric.name!r} ({type(metric).__name__}) of task {task.name!r} fails "
                    f"on a target {y_true.shape}, a prediction {y_pred.shape} and a mask "
                    f"{weights.shape}: {error}"
                ) from error
        variables = self._task_metrics.variables()
        if variables.keys() != self._sums.keys():
            raise ValueError(_not_of_sums(task, "a metric that makes variables late"))
        for name, variable in variables.items():
            self._sums[name].append(_compact(variable.numpy()))

    def stacked(self) -> dict[str, np.ndarray]:
        """Return `{variable: [N, ...]}` of N images.

        Raises:
            ValueError: if a metric is no function of sums over images.
        """
        sums = {name: np.stack(values) for name, values in self._sums.items()}
        totals = {name: values.sum(0, dtype=np.float64) for name, values in sums.items()}
        self._task_metrics.of_sums(totals)
        for i, reference in self._references.items():
            metric = self._task_metrics.metrics[i]
            actual, expected = (keras.ops.convert_to_numpy(m.result()) for m in (metric, reference))
            if not np.allclose(actual, expected, rtol=1e-3, atol=1e-6, equal_nan=True):
                raise ValueError(_not_of_sums(self._task_metrics.task, f"metric {metric.name!r}"))
        return sums


def _not_of_sums(task: Task, metric: str) -> str:
    return (
        f"Task {task.name!r} has {metric}, which cannot be computed from sums over images, as "
        "evaluate and its intervals need: derive it from mtl_tf.metrics.DenseMetric, or leave it "
        "to MultiTaskTrainer.evaluate"
    )


def _compact(array: np.ndarray) -> np.ndarray:
    """Return counts as small integers, other sums unchanged."""
    if array.size > 1 and (array == np.rint(array)).all() and array.min() >= 0:
        return array.astype(np.uint32 if array.max() < 2**32 else np.float64)
    return array
