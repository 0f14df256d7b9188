"""Delta-m: mean relative change of a multi-task model against single-task models.

Three definitions share the name; all are implemented (survey, Eq. 10; LibMTL; Nash-MTL).
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from mtl_tf.metrics.base import DenseMetric, MetricInfo
from mtl_tf.metrics.depth import DepthMetrics
from mtl_tf.metrics.edges import EdgeMetrics
from mtl_tf.metrics.normals import NormalsMetrics
from mtl_tf.metrics.regression import RegressionMetrics
from mtl_tf.metrics.saliency import SaliencyMetrics
from mtl_tf.metrics.segmentation import SegmentationMetrics
from mtl_tf.targets import KINDS, TargetKind
from mtl_tf.typing import Results


class _Metrics(NamedTuple):
    """Metrics of targets of one kind: the class, its main metric, and those of published tables."""

    cls: type[DenseMetric]
    main: str
    in_tables: tuple[str, ...]


class _Task(Protocol):
    """The part of `mtl_tf.Task` that Delta-m reads."""

    @property
    def name(self) -> str: ...
    @property
    def main_metric(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def metric_info(self) -> Mapping[str, MetricInfo]: ...


_NORMALS = ("mean", "median", "within_11_25", "within_22_5", "within_30")
_BY_KIND = {
    TargetKind.CLASSES: _Metrics(SegmentationMetrics, "miou", ("miou", "pixel_accuracy")),
    TargetKind.BINARY: _Metrics(SaliencyMetrics, "miou", ("miou",)),
    TargetKind.BOUNDARY: _Metrics(EdgeMetrics, "f", ("f",)),
    TargetKind.DIRECTION: _Metrics(NormalsMetrics, "mean", _NORMALS),
    TargetKind.DISTANCE: _Metrics(DepthMetrics, "rmse", ("abs_error", "abs_rel")),
    TargetKind.VALUES: _Metrics(RegressionMetrics, "abs_error", ("abs_error",)),
}
MAIN_METRICS = {task: _BY_KIND[kind].main for task, kind in KINDS.items()}
"""Main metric of each task, used in Delta-m."""

HIGHER_IS_BETTER: dict[str, dict[str, bool]] = {
    task: {name: bool(info.higher_is_better) for name, info in _BY_KIND[kind].cls.info.items()}
    for task, kind in KINDS.items()
}
"""Direction of improvement of every metric, by task and metric."""

_TABLE_METRICS = {task: _BY_KIND[kind].in_tables for task, kind in KINDS.items()}
_TABLE_METRICS["human_parts"] = ("miou",)
_DEFINITIONS = ("survey", "libmtl", "nash_mtl")
_ODS = "ods_f"


def delta_m(
    results: Results,
    single_task_results: Results,
    tasks: Iterable[str | _Task],
    definition: str = "survey",
) -> float:
    """Return the mean relative change against single-task results.

    With the definition of the survey,

        Δm = 1/T Σ_t (-1)^{l_t} (M_t - S_t) / S_t

    where T is the number of tasks, `M_t` and `S_t` are the main metric of task t of the multi-task
    and the single-task model, and `l_t` is 1 if lower is better, else 0.

    Args:
        results: `{task: {metric: value}}` of the multi-task model, as returned by `evaluate`.
        single_task_results: the same of the single-task models.
        tasks: tasks to average: names (for instance a `{task: channels}` dictionary), or
            `mtl_tf.Task` objects, with their main metric and its direction.
        definition: `"survey"` (Vandenhende et al. 2021, Eq. 10): one metric per task, mean over
            tasks; `ods_f` of edges if both results have it. `"libmtl"`: mean over the table metrics
            of each task, then over tasks. `"nash_mtl"` (Navon et al. 2022): mean over all table
            metrics of all tasks, and **lower is better**.

    Returns:
        A fraction (0.05 is +5 %); higher is better except for `"nash_mtl"`.

    Raises:
        ValueError: for an unknown definition, no task, a task or metric without a result, or a
            single-task value of 0.
    """
    changes = _changes(results, single_task_results, tasks, definition)
    if definition == "nash_mtl":
        flat = [gain for gains in changes.values() for gain in gains]
        return -sum(flat) / len(flat)
    return sum(sum(gains) / len(gains) for gains in changes.values()) / len(changes)


def task_deltas(
    results: Results,
    single_task_results: Results,
    tasks: Iterable[str | _Task],
    definition: str = "survey",
) -> dict[str, float]:
    """Return the relative change of each task against its single-task results.

    `delta_m` is their mean.

    Source: Vandenhende et al., TPAMI 2021, equation 10.

    Args:
        results: as for `delta_m`.
        single_task_results: as for `delta_m`.
        tasks: as for `delta_m`.
        definition: as for `delta_m`; selects the metrics of each task.

    Returns:
        `{task: fraction}`, the mean over the task's metrics; higher is better for every definition.

    Raises:
        ValueError: as `delta_m`.
    """
    changes = _changes(results, single_task_results, tasks, definition)
    return {task: sum(gains) / len(gains) for task, gains in changes.items()}


def delta_m_of_seeds(
    results: Sequence[Results],
    single_task_results: Sequence[Results],
    tasks: Iterable[str | _Task],
    definition: str = "survey",
) -> dict[str, float]:
    """Return the mean and standard deviation of Delta-m over several seeds.

    Source: as `delta_m`.

    Args:
        results: results of the multi-task model, one per seed.
        single_task_results: results of the single-task models, one per seed (seeds may differ);
            the baseline of every metric is their mean.
        tasks: as for `delta_m`.
        definition: as for `delta_m`.

    Returns:
        `mean` over the seeds of the model, their sample standard deviation `std` (0 for one seed),
        and `std_single`: the standard deviation of Delta-m of the single-task seeds against their
        mean. Both contribute to the noise of a difference.

    Raises:
        ValueError: as `delta_m`, or if there is no result.
    """
    tasks = list(tasks)
    if not results or not single_task_results:
        raise ValueError("results and single_task_results must hold at least one seed's. Got none")
    baseline = {
        task: {
            metric: sum(seed[task][metric] for seed in single_task_results)
            / len(single_task_results)
            for metric in single_task_results[0][task]
        }
        for task in single_task_results[0]
    }
    ours = [delta_m(seed, baseline, tasks, definition) for seed in results]
    single = [delta_m(seed, baseline, tasks, definition) for seed in single_task_results]
    return {
        "mean": statistics.fmean(ours),
        "std": statistics.stdev(ours) if len(ours) > 1 else 0.0,
        "std_single": statistics.stdev(single) if len(single) > 1 else 0.0,
    }


def _changes(
    results: Results, single_task_results: Results, tasks: Iterable[str | _Task], definition: str
) -> dict[str, list[float]]:
    """Return the relative gains of the selected metrics of each task; positive is better."""
    if definition not in _DEFINITIONS:
        raise ValueError(f"definition must be one of {_DEFINITIONS}. Received: {definition!r}")
    own: Mapping[str, _Task] = getattr(tasks, "own", {})  # of a data set
    selected = [_metrics_of(own[t] if isinstance(t, str) and t in own else t) for t in tasks]
    if not selected:
        raise ValueError("tasks must name at least one task. Received none")
    changes = {}
    for task, main, in_tables, directions in selected:
        has_ods = all(_ODS in r.get(task, ()) for r in (results, single_task_results))
        metrics = (main,) if definition == "survey" else in_tables
        if has_ods and directions.get(_ODS):
            metrics = (_ODS,)
        changes[task] = [
            _relative_gain(results, single_task_results, task, metric, directions[metric])
            for metric in metrics
        ]
    return changes


def _metrics_of(task: str | _Task) -> tuple[str, str, tuple[str, ...], Mapping[str, bool | None]]:
    """Return the name of a task, its main metric, its table metrics, and their directions."""
    if isinstance(task, str) or not hasattr(task, "main_metric"):
        if task not in MAIN_METRICS:
            raise ValueError(
                f"Unknown task {task!r}. Known: {sorted(MAIN_METRICS)}. Pass the mtl_tf.Task for "
                "your own"
            )
        return task, MAIN_METRICS[task], _TABLE_METRICS[task], HIGHER_IS_BETTER[task]
    main = task.main_metric
    directions: dict[str, bool | None] = {
        name: info.higher_is_better for name, info in task.metric_info.items()
    }
    in_tables = _TABLE_METRICS.get(task.name, ())
    if main != MAIN_METRICS.get(task.name):
        in_tables = (main,)
    return task.name, main, in_tables, {**directions, main: task.higher_is_better}


def _relative_gain(
    results: Results, baseline: Results, task: str, metric: str, higher_is_better: bool | None
) -> float:
    values = []
    for name, source in (("results", results), ("single_task_results", baseline)):
        if task not in source or metric not in source[task]:
            raise ValueError(f"{name} has no {metric!r} of task {task!r}. Received: {source}")
        values.append(float(source[task][metric]))
    ours, single = values
    if single == 0.0:
        raise ValueError(f"single_task_results has {metric!r} = 0 for {task!r}: no relative change")
    gain = (ours - single) / single
    return gain if higher_is_better else -gain
