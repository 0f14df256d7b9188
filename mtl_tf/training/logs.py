"""What a trainer logs: the total, each task's loss, weight and metrics, and what went wrong."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing import Aggregator, Balancing, Weighting
from mtl_tf.metrics import resized
from mtl_tf.ops import BalanceStatus
from mtl_tf.tasks import Task
from mtl_tf.training import replicas
from mtl_tf.training.diagnostics import GradientLogs


class TaskLogs:
    """Running means and metrics of all tasks over an epoch.

    Args:
        tasks: the tasks.
        metrics: `{task: metric or list of metrics}` for tasks that are not to use their own.
        predicted: names of the tasks the model has a final output for; others have no metrics.
        balancing: the method: it decides whether there are weights and what can go wrong.
        diagnostics: whether to log what the task gradients look like.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        metrics: Mapping[str, Any],
        predicted: Collection[str],
        balancing: Balancing,
        diagnostics: bool,
    ) -> None:
        self.tasks = tasks
        self.total = keras.metrics.Mean("loss")
        self.losses = {t.name: keras.metrics.Mean(f"{t.name}_loss") for t in tasks}
        has_weights = not isinstance(balancing, Aggregator)
        self.weights = {
            t.name: keras.metrics.Mean(f"{t.name}_weight") for t in tasks if has_weights
        }
        self.metrics = {
            task.name: _as_metrics(metrics.get(task.name, task.metrics(task.channels)))
            for task in tasks
            if task.name in predicted
        }
        faults = ["not_finite"]
        if isinstance(balancing, Weighting):
            faults += ["fallbacks", "unsolved"]
        self.faults = {name: keras.metrics.Sum(name) for name in faults}
        self.gradients = GradientLogs(tasks) if diagnostics else None

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric, for Keras to reset."""
        groups = [
            *self.metrics.values(), self.losses.values(), self.weights.values(),
            self.faults.values(), self.gradients.all() if self.gradients else [],
        ]  # fmt: skip
        return [self.total, *(metric for group in groups for metric in group)]

    def update_losses(self, loss: tf.Tensor, losses: tf.Tensor, is_used: tf.Tensor) -> None:
        """Adds a batch: the scalar minimised, the losses `[K]`, and which of them are known."""
        self.total.update_state(loss)
        losses = tf.where(is_used, losses, tf.zeros_like(losses))
        for k, task in enumerate(self.tasks):
            self.losses[task.name].update_state(losses[k], is_used[k])

    def update(self, update: Any) -> None:
        """Adds a training step: an `Update`."""
        self.update_losses(update.loss, update.losses, update.is_used)
        for k, task in enumerate(self.tasks):
            if task.name in self.weights and update.weights is not None:
                self.weights[task.name].update_state(update.weights[k], update.is_used[k])
        counts = {
            "not_finite": tf.reduce_sum(
                tf.cast(update.is_present & ~update.is_used, tf.float32)
            ),
            "fallbacks": tf.equal(update.status, BalanceStatus.FALLBACK),
            "unsolved": update.status > BalanceStatus.FALLBACK,
        }  # fmt: skip
        for name, fault in self.faults.items():
            # Every replica adds the same number, and the metric adds them up.
            fault.update_state(tf.cast(counts[name], tf.float32) / replicas.num_replicas())
        if self.gradients is not None:
            self.gradients.update(update.gramian, update.weights, update.is_used)

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
                prediction = tf.cast(outputs[task], tf.float32)
                metric.update_state(targets[task], resized(prediction, targets[task]), mask)

    def results(self, is_training: bool) -> dict[str, tf.Tensor]:
        """The logs by name; of a metric with many results, the task's main one."""
        results = {"loss": self.total.result()}
        for task in self.tasks:
            results[f"{task.name}_loss"] = self.losses[task.name].result()
            if is_training and task.name in self.weights:
                results[f"{task.name}_weight"] = self.weights[task.name].result()
            for metric in self.metrics.get(task.name, ()):
                value = metric.result()
                if isinstance(value, dict):
                    results[f"{task.name}_{task.main_metric}"] = value[task.main_metric]
                else:
                    results[f"{task.name}_{metric.name}"] = value
        if is_training:
            results.update({name: fault.result() for name, fault in self.faults.items()})
            if self.gradients is not None:
                results.update({m.name: m.result() for m in self.gradients.all()})
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
