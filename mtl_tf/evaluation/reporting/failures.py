"""The part of a report that says where a network fails, task by task."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl_tf.evaluation.diagnostics.image_scores import score_label
from mtl_tf.evaluation.reporting import diagnostic_plots as plots
from mtl_tf.evaluation.reporting.error_maps import error_legend
from mtl_tf.evaluation.reporting.figures import Figure
from mtl_tf.evaluation.reporting.palette import task_colours_of
from mtl_tf.evaluation.reporting.pictures import MapPictures, embedded
from mtl_tf.evaluation.reporting.tables import formatted
from mtl_tf.tasks import Task

_PLOTS = {
    "reliability": plots.reliability,
    "depth_ranges": plots.depth_ranges,
    "angles": plots.angles,
    "thresholds": plots.precision_recall,
}


def failures(
    tasks: Sequence[Task],
    diagnostics: Mapping[str, Any],
    cases: Mapping[str, Mapping[str, Mapping[str, Any]]],
    maps: MapPictures,
) -> list[dict[str, Any]]:
    """Return a section for each task that has diagnostics or pictures.

    Args:
        tasks: the tasks.
        diagnostics: `{task: {name: diagnostic}}`.
        cases: `{task: {"best" | "median" | "worst": picture}}`; see `write_report`.
        maps: draws the pictures.

    Returns:
        Dictionaries of `task`, `classes` (scores as texts), `confusion`, `plots` and `cases`.
    """
    colours = task_colours_of([task.name for task in tasks])
    sections = []
    for task in tasks:
        of_task = diagnostics.get(task.name, {})
        section = {
            "task": task.name,
            "classes": [_texts(row) for row in of_task.get("classes", ())],
            "confusion": _confusion(task, of_task),
            "plots": [
                plot(task.name, of_task[name], colours[task.name])
                for name, plot in _PLOTS.items()
                if name in of_task
            ],
            "cases": _cases(task, of_task, cases.get(task.name, {}), maps),
            "colours": error_legend(task, maps.largest_error_m),
        }
        if any(section[name] for name in ("classes", "plots", "cases")):
            sections.append(section)
    return sections


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores of a class in percent; `–` without a pixel."""
    return {
        name: value if isinstance(value, str) else "–" if value is None else f"{100 * value:.1f}"
        for name, value in row.items()
    }


def _confusion(task: Task, diagnostic: Mapping[str, Any]) -> list[Figure]:
    if "confusion" not in diagnostic:
        return []
    names = [row["name"] for row in diagnostic["classes"]]
    return [plots.confusion(task.name, diagnostic["confusion"], names)]


def _cases(
    task: Task,
    diagnostic: Mapping[str, Any],
    cases: Mapping[str, Mapping[str, Any]],
    maps: MapPictures,
) -> list[dict[str, str]]:
    """Return image, target, prediction and error of the best, median and worst image."""
    threshold = diagnostic.get("thresholds", {}).get("best", {}).get("threshold", 0.5)
    label = score_label(task)
    drawn = []
    for place, picture in cases.items():
        raw, target = picture["outputs"][task.name], picture["targets"][task.name]
        mask = picture["masks"][task.name]
        score = formatted(task.main_metric, picture["score"], task)
        drawn.append(
            {
                "place": place,
                "score": f"{label} {score}",
                "name": picture.get("name", ""),
                "image": embedded(picture["image"]),
                "target": maps.target(task.name, target, mask),
                "predicted": maps.prediction(task.name, raw),
                "error": maps.error(task.name, raw, target, mask, threshold),
            }
        )
    return drawn
