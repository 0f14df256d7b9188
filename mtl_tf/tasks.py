"""The dense tasks: what each predicts, how it is trained and how it is judged."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from mtl_tf import losses, metrics
from mtl_tf.metrics import MetricInfo
from mtl_tf.targets import KINDS, TargetKind


@dataclasses.dataclass(frozen=True)
class Task:
    """One prediction target.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Attributes:
        name: `semseg`, `depth`, `normals`, `edges`, `saliency`, `human_parts`, `keypoints`,
            `principal_curvature`, or your own.
        channels: channels of the raw prediction `[B, H, W, channels]` (of a whole image
            `[B, channels]`); classes for segmentation.
        activation: raw prediction -> probabilities, metres or unit vectors, of the same shape.
        loss: makes the `keras.losses.Loss`.
        metrics: makes the Keras metrics of a task with that many channels.
        main_metric: the metric that stands for the task in Delta-m.
        higher_is_better: direction of the main metric.
        kind: what the target is, and with it what a flip, a zoom and resizing do to it. Without it
            the kind follows from the metrics and the loss; where they leave it open (a Keras loss
            of numbers) it is `VALUES`.
        colourise: `[H, W, C]` activated prediction or target -> RGB `[H, W, 3]` uint8; the usual
            colours of the kind without it.

    Raises:
        ValueError: for a name that cannot be printed, an object where a function that makes one
            belongs, or metrics that make nonsense of class ids.
    """

    name: str
    channels: int
    activation: Callable[[Any], Any]
    loss: Callable[[], keras.losses.Loss]
    metrics: Callable[[int], list[keras.metrics.Metric]]
    main_metric: str
    higher_is_better: bool
    kind: TargetKind = None  # type: ignore[assignment]  # __post_init__ finds it
    colourise: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise ValueError(f"name must be printable text. Received: {self.name!r}")
        is_object = isinstance(self.loss, keras.losses.Loss)
        if is_object or not all(map(callable, (self.activation, self.loss, self.metrics))):
            raise ValueError(
                f"Task {self.name!r} needs functions: activation(raw), loss() that makes a Keras "
                "loss, metrics(channels) that makes a list of Keras metrics. Received: "
                f"{self.activation!r}, {self.loss!r}, {self.metrics!r}. Write "
                "loss=mtl_tf.losses.L1 or loss=lambda: MyLoss(0.5), not an object"
            )
        if self.kind is None:
            object.__setattr__(self, "kind", _kind_of(self))
            self.made_metrics()
        elif not isinstance(self.kind, TargetKind):
            raise ValueError(
                f"kind of task {self.name!r} must be one of {list(TargetKind)}. "
                f"Received: {self.kind!r}"
            )

    def made_metrics(self) -> list[keras.metrics.Metric]:
        """New metrics.

        Raises:
            ValueError: if `metrics` does not make a list of Keras metrics, or some that make
                nonsense of class ids.
        """
        made = self.metrics(self.channels)
        is_list = isinstance(made, list | tuple)
        if not is_list or not all(isinstance(metric, keras.metrics.Metric) for metric in made):
            raise ValueError(
                f"metrics of task {self.name!r} must make a list of Keras metrics, such as lambda "
                f"channels: [mtl_tf.metrics.RegressionMetrics(channels)]. It made: {made!r}"
            )
        for metric in made:
            check_metric(metric, self.name, self.kind)
        return list(made)

    @functools.cached_property
    def metric_info(self) -> dict[str, MetricInfo]:
        """Direction and unit of each metric result by name, the main metric first."""
        unknown = MetricInfo(None)
        info = {self.main_metric: unknown}
        for metric in self.made_metrics():
            info |= getattr(metric, "info", None) or {metric.name: unknown}
        if self.kind is TargetKind.BOUNDARY:  # evaluated by the edge benchmark too
            info |= {name: metrics.EdgeMetrics.info[name] for name in ("ods_f", "ois_f", "ap")}
        main = info[self.main_metric]
        info[self.main_metric] = dataclasses.replace(main, higher_is_better=self.higher_is_better)
        return info


_OF_ONE_HOT = (
    keras.metrics.CategoricalAccuracy, keras.metrics.TopKCategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy, keras.metrics.OneHotIoU, keras.metrics.OneHotMeanIoU,
)  # fmt: skip


def check_metric(metric: keras.metrics.Metric, task: str, kind: TargetKind) -> None:
    """`ValueError` for metrics of Keras that make nonsense of class ids and scores."""
    if kind is not TargetKind.CLASSES:
        return
    remedy = ""
    if isinstance(metric, _OF_ONE_HOT):
        remedy = "keras.metrics.SparseCategoricalAccuracy() or MeanIoU(..., sparse_y_pred=False)"
    elif isinstance(metric, keras.metrics.IoU) and metric.sparse_y_pred:
        remedy = f"{type(metric).__name__}(..., sparse_y_pred=False)"
    if remedy:
        raise ValueError(
            f"Metric {metric.name!r} ({type(metric).__name__}) of task {task!r} does not fit class "
            f"ids [B, H, W, 1] and scores [B, H, W, C]: use {remedy}"
        )


def _kind_of(task: Task) -> TargetKind:
    """The kind that a task's metrics, or its loss, are for."""
    kinds = [getattr(metric, "kind", None) for metric in task.made_metrics()]
    try:
        loss = task.loss()
    except TypeError as error:  # a loss function in place of one that makes it
        raise ValueError(
            f"loss of task {task.name!r} must make a loss without arguments: write lambda: "
            f"my_function. Received: {task.loss!r} ({error})"
        ) from error
    kinds.append(getattr(loss, "kind", None))
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        kinds.append(TargetKind.CLASSES)
    if isinstance(loss, keras.losses.BinaryCrossentropy | keras.losses.BinaryFocalCrossentropy):
        kinds.append(TargetKind.BINARY)
    return next((kind for kind in kinds if kind is not None), TargetKind.VALUES)


def _unit_vectors(raw: Any) -> Any:
    return tf.math.l2_normalize(raw, axis=-1)


def _task(name: str, channels: int, activation: Any, loss: Any, task_metrics: Any) -> Task:
    main = metrics.MAIN_METRICS[name]
    return Task(
        name, channels, activation, loss, task_metrics, main,
        metrics.HIGHER_IS_BETTER[name][main], KINDS[name],
    )  # fmt: skip


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
        tasks: for example `{"semseg": 13, "depth": 1}`, `("semseg", "depth")`, the `tasks` of a
            data set, or a list of `Task`.

    Returns:
        The tasks in the order given.

    Raises:
        ValueError: for an unknown name, a repeated task, no task, or channels below 1.
    """
    items: list[Any] = list(tasks.items()) if isinstance(tasks, Mapping) else list(tasks)
    own: Mapping[str, Task] = getattr(tasks, "own", {})  # of a data set
    resolved: list[Task] = []
    for item in items:
        if isinstance(item, tuple) and item[0] in own:
            item = own[item[0]]
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
