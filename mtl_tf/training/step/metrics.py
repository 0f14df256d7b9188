"""Logs of a trainer: total loss, each task's loss, weight and metrics, and fault counters."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from mtl_tf.balancing import Aggregator, Balancing, Weighting
from mtl_tf.metrics import resized
from mtl_tf.ops import BalanceStatus
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, check_metric
from mtl_tf.training.callbacks.diagnostics import GradientLogs
from mtl_tf.training.callbacks.image_range import ImageRange
from mtl_tf.training.step import replicas
from mtl_tf.training.step.batch_checks import Batch
from mtl_tf.training.step.masked_loss import (
    checked_probabilities,
    has_unused_logits,
    masked_function,
    name_of,
)
from mtl_tf.training.step.update import Update
from mtl_tf.typing import Predictions

_Metric: TypeAlias = keras.metrics.Metric | Callable[..., Any] | str


class TaskLogs:
    """Running means and metrics of all tasks over an epoch.

    Args:
        tasks: the tasks.
        metrics: `{task: metric or list of metrics}` for tasks that are not to use their own.
        predicted: names of the tasks the model has a final output for; others have no metrics.
            `None`: all tasks.
        balancing: the method: it decides whether there are weights and what can go wrong.
        diagnostics: whether to log what the task gradients look like.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        metrics: Mapping[str, _Metric | Sequence[_Metric]],
        predicted: Collection[str] | None,
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
            task.name: as_metrics(metrics[task.name], task)
            if task.name in metrics
            else task.new_metrics()
            for task in tasks
            if predicted is None or task.name in predicted
        }
        _check_that_all_differ(self.metrics)
        faults = ["not_finite"]
        if isinstance(balancing, Weighting):
            faults += ["fallbacks", "unsolved"]
        self.faults = {name: keras.metrics.Sum(name) for name in faults}
        self.gradients = GradientLogs(tasks) if diagnostics else None
        self.images = ImageRange()

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric, for Keras to reset."""
        groups = [
            *self.metrics.values(),
            self.losses.values(),
            self.weights.values(),
            self.faults.values(),
            self.gradients.all() if self.gradients else [],
        ]
        return [self.total, *(metric for group in groups for metric in group), self.images]

    def update_losses(self, loss: tf.Tensor, losses: tf.Tensor, is_used: tf.Tensor) -> None:
        """Add a batch: the scalar minimised, the losses `[K]`, and which of them are known."""
        self.total.update_state(loss)
        losses = tf.where(is_used, losses, tf.zeros_like(losses))
        for k, task in enumerate(self.tasks):
            self.losses[task.name].update_state(losses[k], is_used[k])

    def update(self, update: Update) -> None:
        """Add a training step: an `Update`."""
        self.update_losses(update.loss, update.losses, update.is_used)
        for k, task in enumerate(self.tasks):
            if task.name in self.weights and update.weights is not None:
                self.weights[task.name].update_state(update.weights[k], update.is_used[k])
        counts = {
            "not_finite": tf.reduce_sum(tf.cast(update.is_present & ~update.is_used, tf.float32)),
            "fallbacks": tf.equal(update.status, BalanceStatus.FALLBACK),
            "unsolved": update.status > BalanceStatus.FALLBACK,
        }
        for name, fault in self.faults.items():
            # Every replica adds the same number, and the metric adds them up.
            fault.update_state(tf.cast(counts[name], tf.float32) / replicas.num_replicas())
        if self.gradients is not None:
            self.gradients.update(update.gramian, update.weights, update.is_used)

    def update_metrics(self, outputs: Predictions, batch: Batch) -> None:
        """Add a batch to the metrics of the tasks with a final output."""
        for task, metrics in self.metrics.items():
            if not metrics:
                continue
            target = batch.targets[task]
            mask = None if batch.masks is None else batch.masks[task]
            if mask is not None:
                target = tf.where(mask[..., None] > 0, target, tf.zeros_like(target))
            prediction = resized(tf.cast(outputs[task], tf.float32), target)
            for metric in metrics:
                _update(metric, task, target, prediction, mask)

    def results(self, is_training: bool) -> dict[str, tf.Tensor]:
        """Return the logs by name; of a metric with many results, the task's main one."""
        results = {"loss": self.total.result()}
        for task in self.tasks:
            results[f"{task.name}_loss"] = self.losses[task.name].result()
            if is_training and task.name in self.weights:
                results[f"{task.name}_weight"] = self.weights[task.name].result()
            for metric in self.metrics.get(task.name, ()):
                value = metric.result()
                if isinstance(value, dict):
                    main = task.main_metric if task.main_metric in value else next(iter(value))
                    results[f"{task.name}_{main}"] = value[main]
                else:
                    results[f"{task.name}_{metric.name}"] = value
        if is_training:
            results.update({name: fault.result() for name, fault in self.faults.items()})
            if self.gradients is not None:
                results.update({m.name: m.result() for m in self.gradients.all()})
        return results


def as_metrics(
    metrics: _Metric | Sequence[_Metric] | None, task: Task
) -> list[keras.metrics.Metric]:
    """Metrics of a task, from what a user may give: one or a list of objects, names, functions.

    Args:
        metrics: Keras metrics, their names, `"accuracy"` (of class ids, or of logits above 0), or
            functions of `(y_true, y_pred)`.
        task: their task.

    Raises:
        ValueError: for an unknown name, or `"accuracy"` where there are no classes.
    """
    if metrics is None:
        return []
    items = metrics if isinstance(metrics, list | tuple) else [metrics]
    return [_as_metric(item, task) for item in items]


def _as_metric(metric: _Metric, task: Task) -> keras.metrics.Metric:
    if metric in ("accuracy", "acc"):
        if task.kind is TargetKind.CLASSES:
            return keras.metrics.SparseCategoricalAccuracy(name=metric)
        if task.kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
            return keras.metrics.BinaryAccuracy(name=metric, threshold=0.0)
        raise ValueError(
            f"Task {task.name!r} ({task.kind.value}) has no accuracy: take its own metrics "
            f"(leave metrics out), or for example keras.metrics.MeanAbsoluteError()"
        )
    try:
        known = keras.metrics.get(metric)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"metrics of task {task.name!r} must be Keras metrics, their names, or functions of "
            f"(y_true, y_pred). Received: {metric!r} ({error})"
        ) from error
    if isinstance(known, keras.metrics.Metric):
        check_metric(known, task.name, task.kind)
        return known
    return masked_function(known, task.name, task.kind)


def _check_that_all_differ(metrics: Mapping[str, Sequence[keras.metrics.Metric]]) -> None:
    """`ValueError` if one object would add up the values of two tasks."""
    owners: dict[int, str] = {}
    for task, own in metrics.items():
        for metric in own:
            if id(metric) in owners:
                raise ValueError(
                    f"The metric {metric.name!r} of task {task!r} is also that of "
                    f"{owners[id(metric)]!r}, and would mix their values: make one for each"
                )
            owners[id(metric)] = task


def _update(
    metric: keras.metrics.Metric,
    task: str,
    target: tf.Tensor,
    prediction: tf.Tensor,
    mask: tf.Tensor | None,
) -> None:
    """Add a batch to a metric; `ValueError` naming the task if it cannot take it."""
    if has_unused_logits(metric):
        prediction = checked_probabilities(prediction, f"Metric {metric.name!r} of task {task!r}")
    if mask is not None and isinstance(metric, keras.metrics.IoU):
        mask = tf.cast(mask, metric.dtype)  # it counts
    try:
        metric.update_state(target, prediction, mask)
    except Exception as error:  # a user's metric may raise anything
        raise ValueError(
            f"Metric {metric.name!r} ({name_of(metric)}) of task {task!r} fails on targets "
            f"{target.shape}, predictions {prediction.shape} and masks "
            f"{None if mask is None else mask.shape}: {error}"
        ) from error
