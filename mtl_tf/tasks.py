"""The dense tasks: targets, activation, loss, metrics and colours of each."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import losses, metrics
from mtl_tf.class_names import checked_class_names, class_names_by_task
from mtl_tf.metrics import MetricInfo
from mtl_tf.targets import KINDS, TargetKind
from mtl_tf.typing import Tensor


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
        loss: returns a new `keras.losses.Loss`.
        metrics: returns new Keras metrics for a number of channels.
        main_metric: the metric of the task that Delta-m averages.
        higher_is_better: direction of the main metric.
        kind: kind of the target: the effect of a flip, a zoom and resizing. By default inferred
            from the metrics and the loss; `VALUES` where they have no kind (a Keras loss of
            numbers).
        colourise: `[H, W, C]` activated prediction or target -> RGB `[H, W, 3]` uint8; by default
            the usual colours of the kind.
        class_names: one name per class, for the colours and the legend; only for class ids.
        class_colours: RGB, 0 to 255, of each class, in place of those by name.

    Raises:
        ValueError: for a name that cannot be printed, class names that do not fit the channels, an
            object instead of a function that returns one, or metrics that do not fit class ids
            (with a `kind` given, when they are made).

    Examples:
        >>> rmse = lambda channels: [metrics.DepthMetrics()]
        >>> heat = Task("heat", 1, tf.identity, losses.L1, rmse, "rmse", higher_is_better=False)
        >>> heat.kind.name, heat.metric_info["rmse"].unit
        ('DISTANCE', 'm')
    """

    name: str
    channels: int
    activation: Callable[[Tensor], Tensor]
    loss: Callable[[], keras.losses.Loss]
    metrics: Callable[[int], list[keras.metrics.Metric]]
    main_metric: str
    higher_is_better: bool
    kind: TargetKind = None  # type: ignore[assignment]  # __post_init__ infers it
    colourise: Callable[[np.ndarray], np.ndarray] | None = None
    class_names: tuple[str, ...] = ()
    class_colours: tuple[tuple[int, int, int], ...] = ()

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
            self.new_metrics()
        elif not isinstance(self.kind, TargetKind):
            raise ValueError(
                f"kind of task {self.name!r} must be one of {list(TargetKind)}. "
                f"Received: {self.kind!r}"
            )
        object.__setattr__(self, "class_names", self._checked_class_names())
        object.__setattr__(self, "class_colours", self._checked_class_colours())

    def _checked_class_names(self) -> tuple[str, ...]:
        if not self.class_names:
            return ()
        if self.kind is not TargetKind.CLASSES:
            raise ValueError(
                f"Task {self.name!r} predicts {self.kind.value}, not classes: leave class_names "
                f"empty, or set kind={TargetKind.CLASSES}. Received: {self.class_names!r}"
            )
        return checked_class_names(self.class_names, self.name, self.channels)

    def _checked_class_colours(self) -> tuple[tuple[int, int, int], ...]:
        colours = tuple(map(tuple, self.class_colours))
        if not colours:
            return ()
        is_rgb = all(len(c) == 3 and all(0 <= x <= 255 and x == int(x) for x in c) for c in colours)
        if self.kind is not TargetKind.CLASSES or len(colours) != self.channels or not is_rgb:
            raise ValueError(
                f"class_colours of task {self.name!r} must have three numbers of 0 to 255 for each "
                f"of its {self.channels} classes. Received: {self.class_colours!r}"
            )
        return tuple((int(r), int(g), int(b)) for r, g, b in colours)

    def new_metrics(self) -> list[keras.metrics.Metric]:
        """Return new metric objects.

        Raises:
            ValueError: if `metrics` does not return a list of Keras metrics, or some do not fit
                class ids.
        """
        new = self.metrics(self.channels)
        is_list = isinstance(new, list | tuple)
        if not is_list or not all(isinstance(metric, keras.metrics.Metric) for metric in new):
            raise ValueError(
                f"metrics of task {self.name!r} must make a list of Keras metrics, such as lambda "
                f"channels: [mtl_tf.metrics.RegressionMetrics(channels)]. Received: {new!r}"
            )
        for metric in new:
            check_metric(metric, self.name, self.kind)
        return list(new)

    @functools.cached_property
    def metric_info(self) -> dict[str, MetricInfo]:
        """Direction and unit of each metric result by name, the main metric first."""
        unknown = MetricInfo(None)
        info = {self.main_metric: unknown}
        for metric in self.new_metrics():
            info |= getattr(metric, "info", None) or {metric.name: unknown}
        if self.kind is TargetKind.BOUNDARY:  # evaluated by the edge benchmark too
            info |= {name: metrics.EdgeMetrics.info[name] for name in ("ods_f", "ois_f", "ap")}
        main = info[self.main_metric]
        info[self.main_metric] = dataclasses.replace(main, higher_is_better=self.higher_is_better)
        return info

    def label_of(self, metric: str) -> str:
        """Return the name of a metric in tables and plots, such as `mean IoU`.

        Args:
            metric: name of a result.
        """
        info = self.metric_info.get(metric)
        return (info and info.label) or metric.replace("_", " ")


_OF_ONE_HOT = (
    keras.metrics.CategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.OneHotIoU,
    keras.metrics.OneHotMeanIoU,
    keras.metrics.TopKCategoricalAccuracy,
)


def check_metric(metric: keras.metrics.Metric, task: str, kind: TargetKind) -> None:
    """Check that a Keras metric fits class ids and scores; raise `ValueError` otherwise."""
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
    """Infer the kind of a task from its metrics and its loss."""
    kinds = [getattr(metric, "kind", None) for metric in task.new_metrics()]
    try:
        loss = task.loss()
    except TypeError as error:  # a loss function instead of one that returns a loss object
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


def _unit_vectors(raw: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(raw, axis=-1)


def _task(
    name: str,
    channels: int,
    activation: Callable[[Tensor], Tensor],
    loss: Callable[[], keras.losses.Loss],
    new_metrics: Callable[[int], list[keras.metrics.Metric]],
) -> Task:
    main = metrics.MAIN_METRICS[name]
    higher_is_better = metrics.HIGHER_IS_BETTER[name][main]
    return Task(name, channels, activation, loss, new_metrics, main, higher_is_better, KINDS[name])


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _task(
            "semseg",
            40,
            tf.nn.softmax,
            losses.SegmentationCrossEntropy,
            lambda channels: [metrics.SegmentationMetrics(channels)],
        ),
        _task(
            "human_parts",
            7,
            tf.nn.softmax,
            losses.SegmentationCrossEntropy,
            lambda channels: [metrics.SegmentationMetrics(channels, skip_background_images=True)],
        ),
        _task(
            "saliency",
            1,
            tf.sigmoid,
            losses.BalancedBinaryCrossEntropy,
            lambda _: [metrics.SaliencyMetrics()],
        ),
        _task("normals", 3, _unit_vectors, losses.NormalsL1, lambda _: [metrics.NormalsMetrics()]),
        _task(
            "edges",
            1,
            tf.sigmoid,
            lambda: losses.BalancedBinaryCrossEntropy(positive_weight=0.95),
            lambda _: [metrics.EdgeMetrics()],
        ),
        _task("depth", 1, tf.identity, losses.L1, lambda _: [metrics.DepthMetrics()]),
        _task(
            "keypoints",
            1,
            tf.identity,
            losses.L1,
            lambda channels: [metrics.RegressionMetrics(channels)],
        ),
        _task(
            "principal_curvature",
            2,
            tf.identity,
            losses.L1,
            lambda channels: [metrics.RegressionMetrics(channels)],
        ),
    )
}
"""The tasks by name: the survey's in its order (channels: NYUD-v2 and PASCAL-Context), then two of
Taskonomy."""


TasksLike = Mapping[str, int] | Iterable[str | Task]
"""`{name: channels}`, names or `Task` objects, as `as_tasks` takes them."""


def as_tasks(tasks: TasksLike) -> tuple[Task, ...]:
    """Return `Task` objects for `{name: channels}`, names, or `Task` objects.

    Args:
        tasks: for example `{"semseg": 13, "depth": 1}`, `("semseg", "depth")`, the `tasks` of a
            data set (with its class names), or a list of `Task`.

    Returns:
        The tasks in the order given.

    Raises:
        ValueError: for an unknown name, a repeated task, no task, or channels below 1.
    """
    items: list[str | Task | tuple[str, int]] = [
        *(tasks.items() if isinstance(tasks, Mapping) else tasks)
    ]
    objects: Mapping[str, Task] = getattr(tasks, "own", {})  # of a data set
    class_names: Mapping[str, tuple[str, ...]] = getattr(tasks, "class_names", {})
    resolved: list[Task] = []
    for item in items:
        if isinstance(item, tuple) and item[0] in objects:
            item = objects[item[0]]
        task = item if isinstance(item, Task) else _known_task(item)
        if task.name in class_names:
            task = dataclasses.replace(task, class_names=class_names[task.name])
        resolved.append(task)
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


def _known_task(item: str | tuple[str, int]) -> Task:
    """Return a task of `TASKS`, with the number of channels given."""
    name, channels = item if isinstance(item, tuple) else (item, None)
    if name not in TASKS:
        raise ValueError(
            f"Unknown task {name!r}. Known: {sorted(TASKS)}. Pass an mtl_tf.Task for your own"
        )
    known = TASKS[name]
    return known if channels is None else dataclasses.replace(known, channels=channels)


def with_class_names(
    tasks: Iterable[Task], names: Sequence[str] | Mapping[str, Sequence[str]]
) -> tuple[Task, ...]:
    """Return tasks with class names; names that a task has already stay.

    Args:
        tasks: the tasks.
        names: `{task: names}`; or one sequence for every task with that many classes.

    Raises:
        ValueError: if the names of a task are not one printable name per class.
    """
    tasks = tuple(tasks)
    by_task = class_names_by_task(names, num_classes(t for t in tasks if not t.class_names))
    return tuple(
        dataclasses.replace(task, class_names=by_task.get(task.name, task.class_names))
        for task in tasks
    )


def num_classes(tasks: Iterable[Task]) -> dict[str, int]:
    """Return `{task: number of classes}` of the tasks of class ids."""
    return {task.name: task.channels for task in tasks if task.kind is TargetKind.CLASSES}
