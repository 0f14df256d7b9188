"""Delta-m: the mean relative change of a multi-task model against single-task models.

Three definitions are in use under one name; all are here (survey, Eq. 10; LibMTL; Nash-MTL).
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

MAIN_METRICS = {
    "semseg": "miou",
    "human_parts": "miou",
    "saliency": "miou",
    "depth": "rmse",
    "normals": "mean",
    "edges": "f",
    "keypoints": "abs_error",
    "principal_curvature": "abs_error",
}
"""The metric that stands for a task in Delta-m, by task."""

HIGHER_IS_BETTER = {
    "semseg": {"miou": True, "pixel_accuracy": True},
    "human_parts": {"miou": True, "pixel_accuracy": True},
    "saliency": {"miou": True, "max_f": True, "max_f_pooled": True},
    "depth": {
        "rmse": False, "log_rmse": False, "abs_error": False, "abs_rel": False,
        "delta1": True, "delta2": True, "delta3": True,
    },
    "normals": {
        "mean": False, "median": False, "rmse": False,
        "within_11_25": True, "within_22_5": True, "within_30": True,
    },
    "edges": {
        "f": True, "precision": True, "recall": True, "ods_f": True, "ois_f": True, "ap": True,
    },
    "keypoints": {"abs_error": False, "rmse": False},
    "principal_curvature": {"abs_error": False, "rmse": False},
}  # fmt: skip
"""Direction of every metric, by task and metric."""

_TABLE_METRICS = {
    "semseg": ("miou", "pixel_accuracy"),
    "human_parts": ("miou",),
    "saliency": ("miou",),
    "depth": ("abs_error", "abs_rel"),
    "normals": ("mean", "median", "within_11_25", "within_22_5", "within_30"),
    "edges": ("f",),
    "keypoints": ("abs_error",),
    "principal_curvature": ("abs_error",),
}
_DEFINITIONS = ("survey", "libmtl", "nash_mtl")

Results = Mapping[str, Mapping[str, float]]


def delta_m(
    results: Results,
    single_task_results: Results,
    tasks: Iterable[str],
    definition: str = "survey",
) -> float:
    """Mean relative change against single-task results.

    Args:
        results: `{task: {metric: value}}` of the multi-task model, as `evaluate` returns it.
        single_task_results: the same for the single-task models.
        tasks: names of the tasks to count (a `{task: channels}` dictionary serves).
        definition: `"survey"` (Vandenhende et al. 2021, Eq. 10): one metric a task, mean over
            tasks; of edges `ods_f` where both results have it. `"libmtl"`: mean over each task's
            table metrics, then over tasks. `"nash_mtl"` (Navon et al. 2022): mean over all table
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
    tasks: Iterable[str],
    definition: str = "survey",
) -> dict[str, float]:
    """What each task gains against its single-task results: what `delta_m` is the mean of.

    Source: Vandenhende et al., TPAMI 2021, equation 10.

    Args:
        results: as for `delta_m`.
        single_task_results: as for `delta_m`.
        tasks: as for `delta_m`.
        definition: as for `delta_m`: which of a task's metrics count.

    Returns:
        `{task: fraction}`, the mean over the task's metrics; higher is better for every definition.

    Raises:
        ValueError: as `delta_m` does.
    """
    changes = _changes(results, single_task_results, tasks, definition)
    return {task: sum(gains) / len(gains) for task, gains in changes.items()}


def delta_m_of_seeds(
    results: Sequence[Results],
    single_task_results: Sequence[Results],
    tasks: Iterable[str],
    definition: str = "survey",
) -> dict[str, float]:
    """Delta-m of a model trained with several seeds, and how much it varies.

    Source: as `delta_m`.

    Args:
        results: of the multi-task model, one for each seed.
        single_task_results: of the single-task models, one for each seed (not necessarily the
            same); the baseline of every metric is their mean.
        tasks: as for `delta_m`.
        definition: as for `delta_m`.

    Returns:
        `mean` over the model's seeds, their sample standard deviation `std` (0 for one seed), and
        `std_single`: that of the single-task seeds' own Delta-m against their mean. The noise of a
        difference has both.

    Raises:
        ValueError: as `delta_m` does, or if there is no result.
    """
    names = list(tasks)
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
    ours = [delta_m(seed, baseline, names, definition) for seed in results]
    single = [delta_m(seed, baseline, names, definition) for seed in single_task_results]
    return {
        "mean": statistics.fmean(ours),
        "std": statistics.stdev(ours) if len(ours) > 1 else 0.0,
        "std_single": statistics.stdev(single) if len(single) > 1 else 0.0,
    }


def _changes(
    results: Results, single_task_results: Results, tasks: Iterable[str], definition: str
) -> dict[str, list[float]]:
    """Relative gains of each task's metrics that count; positive is better."""
    if definition not in _DEFINITIONS:
        raise ValueError(f"definition must be one of {_DEFINITIONS}. Received: {definition!r}")
    names = [getattr(task, "name", task) for task in tasks]
    unknown = [name for name in names if name not in MAIN_METRICS]
    if unknown:
        raise ValueError(f"Unknown tasks {unknown}. Known: {sorted(MAIN_METRICS)}")
    if not names:
        raise ValueError("tasks must name at least one task. Received none")

    def metrics(task: str) -> tuple[str, ...]:
        benchmarked = all("ods_f" in r.get(task, ()) for r in (results, single_task_results))
        if task == "edges" and benchmarked:
            return ("ods_f",)
        return (MAIN_METRICS[task],) if definition == "survey" else _TABLE_METRICS[task]

    return {
        task: [_relative_gain(results, single_task_results, task, m) for m in metrics(task)]
        for task in names
    }


def _relative_gain(results: Results, baseline: Results, task: str, metric: str) -> float:
    values = []
    for name, source in (("results", results), ("single_task_results", baseline)):
        if task not in source or metric not in source[task]:
            raise ValueError(f"{name} has no {metric!r} of task {task!r}. Received: {source}")
        values.append(float(source[task][metric]))
    ours, single = values
    if single == 0.0:
        raise ValueError(f"single_task_results has {metric!r} = 0 for {task!r}: no relative change")
    gain = (ours - single) / single
    return gain if HIGHER_IS_BETTER[task][metric] else -gain
