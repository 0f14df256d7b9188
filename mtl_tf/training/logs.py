"""What a trainer logs: the total, and each task's loss, weight and metrics."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.metrics import resized
from mtl_tf.tasks import Task


class TaskLogs:
    """Running means and metrics of all tasks over an epoch.

    Args:
        tasks: the tasks.
        metrics: `{task: metric or list of metrics}` for tasks that are not to use their own.
        predicted: names of the tasks the model has a final output for; others have no metrics.
    """

    def __init__(
        self, tasks: Sequence[Task], metrics: Mapping[str, Any], predicted: Collection[str]
    ) -> None:
        self.tasks = tasks
        self.total = keras.metrics.Mean("loss")
        self.losses = {t.name: keras.metrics.Mean(f"{t.name}_loss") for t in tasks}
        self.weights = {t.name: keras.metrics.Mean(f"{t.name}_weight") for t in tasks}
        self.metrics = {
            task.name: _as_metrics(metrics.get(task.name, task.metrics(task.channels)))
            for task in tasks
            if task.name in predicted
        }

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric, for Keras to reset."""
        groups = [*self.metrics.values(), self.losses.values(), self.weights.values()]
        return [self.total, *(metric for group in groups for metric in group)]

    def update(
        self,
        total: tf.Tensor,
        losses: tf.Tensor,
        is_present: tf.Tensor,
        weights: tf.Tensor | None = None,
    ) -> None:
        """Adds a batch: the scalar minimised; losses, presence and weights `[K]`."""
        self.total.update_state(total)
        for k, task in enumerate(self.tasks):
            self.losses[task.name].update_state(losses[k], is_present[k])
            if weights is not None:
                self.weights[task.name].update_state(weights[k], is_present[k])

    def update_metrics(
        self,
        outputs: Mapping[str, tf.Tensor],
        targets: Mapping[str, tf.Tensor],
        masks: Mapping[str, tf.Tensor] | None,
    ) -> None:
        """Adds a batch to the metrics of the tasks with a final output."""
        for task, metrics in self.metrics.items():
            for metric in metrics:
                mask = None if masks is None else masks[task]
                metric.update_state(targets[task], resized(outputs[task], targets[task]), mask)

    def results(self, with_weights: bool) -> dict[str, tf.Tensor]:
        """The logs by name; of a metric with many results, the task's main one."""
        results = {"loss": self.total.result()}
        for task in self.tasks:
            results[f"{task.name}_loss"] = self.losses[task.name].result()
            if with_weights:
                results[f"{task.name}_weight"] = self.weights[task.name].result()
            for metric in self.metrics.get(task.name, ()):
                value = metric.result()
                if isinstance(value, dict):
                    results[f"{task.name}_{task.main_metric}"] = value[task.main_metric]
                else:
                    results[f"{task.name}_{metric.name}"] = value
        return results


def _as_metrics(metrics: Any) -> list[keras.metrics.Metric]:
    items = metrics if isinstance(metrics, list | tuple) else [metrics]
    found = [keras.metrics.get(metric) for metric in items]
    return [
        metric
        if isinstance(metric, keras.metrics.Metric)
        else keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)
        for metric in found
    ]
