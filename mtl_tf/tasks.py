"""The dense tasks: what each predicts, how it is trained and how it is judged."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import losses, metrics


@dataclasses.dataclass(frozen=True)
class Task:
    """One prediction target.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Attributes:
        name: `semseg`, `depth`, `normals`, `edges`, `saliency`, `human_parts`, `keypoints`,
            `principal_curvature`, or your own.
        channels: channels of the raw prediction `[B, H, W, channels]`; classes for segmentation.
        activation: raw prediction -> probabilities, metres or unit vectors, of the same shape.
        loss: makes the `keras.losses.Loss`.
        metrics: makes the Keras metrics of a task with that many channels.
        main_metric: the metric that stands for the task in Delta-m.
        higher_is_better: direction of the main metric.
    """

    name: str
    channels: int
    activation: Callable[[Any], Any]
    loss: Callable[[], keras.losses.Loss]
    metrics: Callable[[int], list[keras.metrics.Metric]]
    main_metric: str
    higher_is_better: bool


def _unit_vectors(raw: Any) -> Any:
    return tf.math.l2_normalize(raw, axis=-1)


def _task(name: str, channels: int, activation: Any, loss: Any, task_metrics: Any) -> Task:
    main = metrics.MAIN_METRICS[name]
    return Task(
        name, channels, activation, loss, task_metrics, main, metrics.HIGHER_IS_BETTER[name][main]
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _task(
            "semseg", 40, tf.nn.softmax, losses.SegmentationCrossEntropy,
            lambda channels: [metrics.SegmentationMetrics(channels)],
        ),
        _task(
            "human_parts", 7, tf.nn.softmax, losses.SegmentationCrossEntropy,
            lambda channels: [metrics.SegmentationMetrics(channels, skip_background_images=True)],
        ),
        _task(
            "saliency", 1, tf.sigmoid, losses.BalancedBinaryCrossEntropy,
            lambda channels: [metrics.SaliencyMetrics()],
        ),
        _task("normals", 3, _unit_vectors, losses.NormalsL1,
              lambda channels: [metrics.NormalsMetrics()]),
        _task(
            "edges", 1, tf.sigmoid, lambda: losses.BalancedBinaryCrossEntropy(positive_weight=0.95),
            lambda channels: [metrics.EdgeMetrics()],
        ),
        _task("depth", 1, tf.identity, losses.L1, lambda channels: [metrics.DepthMetrics()]),
        _task("keypoints", 1, tf.identity, losses.L1,
              lambda channels: [metrics.RegressionMetrics(channels)]),
        _task("principal_curvature", 2, tf.identity, losses.L1,
              lambda channels: [metrics.RegressionMetrics(channels)]),
    )
}  # fmt: skip
"""The tasks by name: the survey's in its order (channels: NYUD-v2 and PASCAL-Context), then two of
Taskonomy."""


def as_tasks(tasks: Mapping[str, int] | Iterable[str | Task]) -> tuple[Task, ...]:
    """Tasks from what a user may give: `{name: channels}`, names, or `Task` objects.

    Args:
        tasks: for example `{"semseg": 13, "depth": 1}`, `("semseg", "depth")` or a list of `Task`.

    Returns:
        The tasks in the order given.

    Raises:
        ValueError: for an unknown name, a repeated task, no task, or channels below 1.
    """
    items: list[Any] = list(tasks.items()) if isinstance(tasks, Mapping) else list(tasks)
    resolved: list[Task] = []
    for item in items:
        if isinstance(item, Task):
            resolved.append(item)
            continue
        name, channels = item if isinstance(item, tuple) else (item, None)
        if name not in TASKS:
            raise ValueError(
                f"Unknown task {name!r}. Known: {sorted(TASKS)}. Pass an mtl_tf.Task for your own"
            )
        known = TASKS[name]
        resolved.append(
            known if channels is None else dataclasses.replace(known, channels=channels)
        )
    for task in resolved:
        if task.channels < 1:
            raise ValueError(
                f"Task {task.name!r} needs at least one channel. Received: {task.channels}"
            )
    names = [task.name for task in resolved]
    if not names:
        raise ValueError("tasks must name at least one task. Received none")
    if len(set(names)) < len(names):
        raise ValueError(f"tasks must name each task once. Received: {names}")
    return tuple(resolved)
