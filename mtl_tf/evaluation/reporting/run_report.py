"""Report of a run: results as JSON and Markdown, and one HTML page with curves and pictures."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation.reporting.pages import render_page
from mtl_tf.evaluation.reporting.pictures import MapPictures, embedded, legends
from mtl_tf.evaluation.reporting.plots import curve, depth_bar
from mtl_tf.evaluation.reporting.tables import (
    ARROWS,
    PUBLISHED_METRICS,
    formatted,
    in_markdown,
    markdown_table,
)
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, TasksLike, as_tasks

_TEMPLATE = pathlib.Path(__file__).with_name("run_report.html.j2")


def write_report(
    folder: str | os.PathLike[str],
    summary: Mapping[str, Any],
    pictures: Sequence[Mapping[str, Any]] = (),
    tasks: TasksLike | None = None,
) -> pathlib.Path:
    """Write `results.json`, `report.md` and the self-contained `report.html`.

    Args:
        folder: where to write; it must exist.
        summary: `results` and `baseline` (`{task: {metric: value}}`); optionally `history` (a
            dictionary of logs for each epoch), `config` and `environment` (flat dictionaries),
            `kept` (`epoch`, `relative_to`) and `published` (`preset`, `results` by task, `delta_m`,
            `source`, `differences`; `why_not` where the protocols do not allow a comparison).
        pictures: of images: `image [H, W, 3]` uint8, raw `outputs`, `targets` and `masks` by task.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects, whose class names are in the
            legend; by default the tasks of the results, which must be known by name.

    Returns:
        Path of `report.html`.
    """
    folder = pathlib.Path(folder)
    by_name = {t.name: t for t in as_tasks(list(summary["results"]) if tasks is None else tasks)}
    evaluated = [by_name[name] for name in summary["results"]]
    rows = _rows(evaluated, summary["results"], summary["baseline"], summary.get("published"))
    note = published_note(summary.get("published"))
    write_atomically(folder / "results.json", json.dumps(summary, indent=2))
    write_atomically(folder / "report.md", _markdown(rows) + (f"\n{note}\n" if note else ""))
    maps = MapPictures(evaluated, pictures)
    has_distances = any(task.kind is TargetKind.DISTANCE for task in evaluated)
    history = summary.get("history", [])
    page = render_page(
        _TEMPLATE,
        summary={"config": {}, "environment": {}, "history": [], **summary},
        rows=rows,
        published_note=note,
        has_published=any(row["published"] for row in rows),
        better=sum(1 for row in rows if row["is_main"] and row["is_better"]),
        tasks=[task.name for task in evaluated],
        curves=_curves(history, [task.name for task in evaluated]),
        pictures=[_embedded_pictures(picture, evaluated, maps) for picture in pictures],
        depth_range=[f"{metres:g}" for metres in maps.depth_range_m],
        legends=legends(evaluated),
        depth_bar=depth_bar(*maps.depth_range_m) if has_distances else None,
    )
    write_atomically(folder / "report.html", page)
    return folder / "report.html"


# === Tables ===


def _rows(
    tasks: Sequence[Task],
    results: Mapping[str, Any],
    baseline: Mapping[str, Any],
    published: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Return a row for each task and metric."""
    rows = []
    published_results = published["results"] if published else {}
    for task in tasks:
        name = task.name
        for metric, value in results[name].items():
            higher_is_better = task.metric_info[metric].higher_is_better
            trivial = baseline[name][metric]
            is_published = name in published_results and metric == PUBLISHED_METRICS[name]
            rows.append(
                {
                    "task": name,
                    "metric": metric,
                    "direction": ARROWS[higher_is_better],
                    "ours": formatted(metric, value, task),
                    "baseline": formatted(metric, trivial, task),
                    "published": (
                        formatted(metric, published_results[name], task) if is_published else ""
                    ),
                    "is_main": metric == task.main_metric,
                    "is_better": higher_is_better is not None
                    and (value > trivial if higher_is_better else value < trivial),
                }
            )
    return rows


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    has_published = any(row["published"] for row in rows)
    header = ["task", "metric", "model", "trivial baseline"]
    lines = []
    for row in rows:
        metric = f"{in_markdown(row['metric'])} {row['direction']}"
        ours = f"**{row['ours']}**" if row["is_better"] else row["ours"]
        line = [in_markdown(row["task"]), metric, ours, row["baseline"]]
        lines.append([*line, row["published"]] if has_published else line)
    return markdown_table([*header, "published"] if has_published else header, lines, 2)


def published_note(published: Mapping[str, Any] | None) -> str:
    """Return a note on the published numbers beside a run, or why there are none."""
    if published is None:
        return ""
    preset, why_not = published["preset"], published.get("why_not")
    if why_not:
        return f"No published numbers beside these: {why_not} (nearest: {preset})."
    delta = published["delta_m"]
    gain = "" if delta is None else f" (Δm {100 * delta:+.2f} %)"
    here = "; ".join(published["differences"]) or "the same protocol"
    return f"Published: {preset}{gain}, {published['source']}. Here: {here}."


# === Curves ===


def _curves(history: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> list[dict[str, str]]:
    """Plot the logs over the epochs; plots without any log are left out."""

    def series(suffix: str, prefix: str = "") -> dict[str, list[float]]:
        return _series(history, {f"{prefix}{task}_{suffix}": task for task in tasks})

    names = history[0] if history else ()
    cosines = {n: n.removesuffix("_cosine") for n in names if n.endswith("_cosine")}
    relative = "loss, each task relative to its first epoch"
    curves = {
        f"Training {relative}": _relative_to_first(series("loss")),
        f"Validation {relative}": _relative_to_first(series("loss", "val_")),
        "Weight of each task's gradient": series("weight"),
        "Norm of each task's gradient": series("gradient_norm"),
        "Cosine between the gradients of two tasks": _series(history, cosines),
        "Share of task pairs in conflict": _series(history, {"conflicts": "conflicts"}),
    }
    return [
        {
            "title": title,
            "source": curve(lines, log=title.startswith(("Weight", "Norm"))),
            "alt": _alt_text(title, lines),
        }
        for title, lines in curves.items()
        if lines
    ]


def _series(
    history: Sequence[Mapping[str, float]], labels: Mapping[str, str]
) -> dict[str, list[float]]:
    """Return `{label: values of all epochs}` for `{log: label}`, without logs that are missing."""
    return {
        label: [epoch.get(log, float("nan")) for epoch in history]
        for log, label in labels.items()
        if history and log in history[0]
    }


def _relative_to_first(lines: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {task: [v / (values[0] or 1.0) for v in values] for task, values in lines.items()}


def _alt_text(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    ends = ", ".join(f"{task} {v[0]:.3g} to {v[-1]:.3g}" for task, v in lines.items())
    return f"{title}: from the first to the last epoch {ends}"


# === Pictures ===


def _embedded_pictures(
    picture: Mapping[str, Any], tasks: Sequence[Task], maps: MapPictures
) -> dict[str, Any]:
    """Return the image and the maps of each task as data URIs; image-level tasks have no map."""
    targets, masks, outputs = picture["targets"], picture["masks"], picture["outputs"]
    names = [task.name for task in tasks if targets[task.name].ndim == 3]
    return {
        "image": embedded(picture["image"]),
        "predicted": {name: maps.prediction(name, outputs[name]) for name in names},
        "target": {name: maps.target(name, targets[name], masks[name]) for name in names},
    }
