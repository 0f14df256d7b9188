"""Delta-m: the mean relative change of a multi-task model against single-task models.

Three definitions are in use under one name; all are here (survey, Eq. 10; LibMTL; Nash-MTL).
"""

from collections.abc import Iterable, Mapping

MAIN_METRICS = {
    "semseg": "miou",
    "human_parts": "miou",
    "saliency": "miou",
    "depth": "rmse",
    "normals": "mean",
    "edges": "f",
}
"""The metric that stands for a task in Delta-m, by task."""

HIGHER_IS_BETTER = {
    "semseg": {"miou": True, "pixel_accuracy": True},
    "human_parts": {"miou": True, "pixel_accuracy": True},
    "saliency": {"miou": True, "max_f": True},
    "depth": {
        "rmse": False, "log_rmse": False, "abs_error": False, "abs_rel": False,
        "delta1": True, "delta2": True, "delta3": True,
    },
    "normals": {
        "mean": False, "median": False, "rmse": False,
        "within_11_25": True, "within_22_5": True, "within_30": True,
    },
    "edges": {"f": True, "precision": True, "recall": True},
}  # fmt: skip
"""Direction of every metric, by task and metric."""

_TABLE_METRICS = {
    "semseg": ("miou", "pixel_accuracy"),
    "human_parts": ("miou",),
    "saliency": ("miou",),
    "depth": ("abs_error", "abs_rel"),
    "normals": ("mean", "median", "within_11_25", "within_22_5", "within_30"),
    "edges": ("f",),
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
            tasks. `"libmtl"`: mean over each task's table metrics, then over tasks. `"nash_mtl"`
            (Navon et al. 2022): mean over all table metrics of all tasks, and **lower is better**.

    Returns:
        A fraction (0.05 is +5 %); higher is better except for `"nash_mtl"`.

    Raises:
        ValueError: for an unknown definition, no task, a task or metric without a result, or a
            single-task value of 0.
    """
    if definition not in _DEFINITIONS:
        raise ValueError(f"definition must be one of {_DEFINITIONS}. Received: {definition!r}")
    names = [getattr(task, "name", task) for task in tasks]
    unknown = [name for name in names if name not in MAIN_METRICS]
    if unknown:
        raise ValueError(f"Unknown tasks {unknown}. Known: {sorted(MAIN_METRICS)}")
    if not names:
        raise ValueError("tasks must name at least one task. Received none")
    changes = {
        task: [
            _relative_gain(results, single_task_results, task, metric)
            for metric in (
                (MAIN_METRICS[task],) if definition == "survey" else _TABLE_METRICS[task]
            )
        ]
        for task in names
    }
    if definition == "nash_mtl":
        flat = [gain for gains in changes.values() for gain in gains]
        return -sum(flat) / len(flat)
    return sum(sum(gains) / len(gains) for gains in changes.values()) / len(changes)


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
