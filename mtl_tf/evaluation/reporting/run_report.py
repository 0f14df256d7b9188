"""The report of a run: numbers as JSON and Markdown, and one HTML page with curves and pictures."""

import base64
import io
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation.reporting.colours import class_colours, colourise, names_of
from mtl_tf.evaluation.reporting.plots import curve, depth_bar
from mtl_tf.metrics import MAIN_METRICS, MetricInfo
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, as_tasks

_PICTURE_WIDTH = 256
PUBLISHED_METRICS = {**MAIN_METRICS, "edges": "ods_f"}
"""The metric that papers print, by task."""


def write_report(
    folder: str | os.PathLike[str],
    summary: Mapping[str, Any],
    pictures: Sequence[Mapping[str, Any]] = (),
    class_names: Sequence[str] = (),
    tasks: Any = None,
) -> pathlib.Path:
    """Writes `results.json`, `report.md` and the self-contained `report.html`.

    Args:
        folder: where to write; it must exist.
        summary: `results` and `baseline` (`{task: {metric: value}}`); optionally `history` (a
            dictionary of logs for each epoch), `config` and `environment` (flat dictionaries),
            `kept` (`epoch`, `relative_to`) and `published` (`preset`, `results` by task, `delta_m`,
            `source`, `differences`; `why_not` where the protocols do not allow a comparison).
        pictures: of images: `image [H, W, 3]` uint8, raw `outputs`, `targets` and `masks` by task.
        class_names: names of the semantic classes.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects; those of the results that the
            library knows by name without it.

    Returns:
        Path of `report.html`.
    """
    folder = pathlib.Path(folder)
    tasks = as_tasks(list(summary["results"]) if tasks is None else tasks)
    known = {task.name: task for task in tasks}
    judged = [known[name] for name in summary["results"]]
    rows = _table(judged, summary["results"], summary["baseline"], summary.get("published"))
    write_atomically(folder / "results.json", json.dumps(summary, indent=2))
    note = published_note(summary.get("published"))
    write_atomically(folder / "report.md", _markdown(rows) + (f"\n{note}\n" if note else ""))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    distances = [task.name for task in judged if task.kind is TargetKind.DISTANCE]
    legend = class_names if any(names_of(task, class_names) for task in judged) else ()
    depth_range_m = depth_range(pictures, distances)
    page = environment.get_template("run_report.html.j2").render(
        summary={"config": {}, "environment": {}, "history": [], **summary},
        rows=rows,
        published_note=note,
        has_published=any(row["published"] for row in rows),
        better=sum(1 for row in rows if row["is_main"] and row["is_better"]),
        tasks=[task.name for task in judged],
        curves=_curves(summary["history"], [task.name for task in judged]),
        pictures=[_embedded_pictures(p, judged, class_names, depth_range_m) for p in pictures],
        depth_range=[f"{metres:g}" for metres in depth_range_m],
        legend=[
            (name, "rgb({},{},{})".format(*colour))
            for name, colour in zip(legend, class_colours(legend), strict=True)
        ],
        depth_bar=depth_bar(*depth_range_m) if distances else None,
    )  # fmt: skip
    write_atomically(folder / "report.html", page)
    return folder / "report.html"


def formatted(metric: str, value: float, task: Task | str) -> str:
    """A metric as people write it: shares in percent, depth in metres, angles in degrees."""
    (task,) = as_tasks([task])
    info = task.metric_info.get(metric, MetricInfo(None))
    if info.unit == "%":
        return f"{100 * value:.1f} %"
    if info.unit == "°":
        return f"{value:.2f}°"
    return f"{value:.{info.digits}f} {info.unit}".rstrip()


def _table(
    tasks: Sequence[Task],
    results: Mapping[str, Any],
    baseline: Mapping[str, Any],
    published: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    rows = []
    theirs = published["results"] if published else {}
    for known in tasks:
        task = known.name
        for metric, value in results[task].items():
            higher = known.metric_info[metric].higher_is_better
            trivial = baseline[task][metric]
            rows.append(
                {
                    "task": task,
                    "metric": metric,
                    "direction": {True: "↑", False: "↓", None: ""}[higher],
                    "ours": formatted(metric, value, known),
                    "baseline": formatted(metric, trivial, known),
                    "published": formatted(metric, theirs[task], known)
                    if task in theirs and metric == PUBLISHED_METRICS[task]
                    else "",
                    "is_main": metric == known.main_metric,
                    "is_better": higher is not None
                    and (value > trivial if higher else value < trivial),
                }
            )
    return rows


def in_markdown(text: str) -> str:
    """A name in a Markdown table: on one line, and nothing in it is a cell, a tag or a link."""
    escaped = re.sub(r"[\\|`*\[\]~]", r"\\\g<0>", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    has_published = any(row["published"] for row in rows)
    more = (" published |", "---:|") if has_published else ("", "")
    lines = [
        "| task | metric | model | trivial baseline |" + more[0],
        "|---|---|---:|---:|" + more[1],
    ]
    for row in rows:
        task, metric = in_markdown(row["task"]), in_markdown(row["metric"])
        ours = f"**{row['ours']}**" if row["is_better"] else row["ours"]
        last = f" {row['published']} |" if has_published else ""
        lines.append(f"| {task} | {metric} {row['direction']} | {ours} | {row['baseline']} |{last}")
    return "\n".join(lines) + "\n"


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


def _curves(history: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> list[dict[str, str]]:
    def series(suffix: str, prefix: str = "") -> dict[str, list[float]]:
        names = {task: f"{prefix}{task}_{suffix}" for task in tasks}
        return {
            task: [epoch.get(name, float("nan")) for epoch in history]
            for task, name in names.items()
            if history and name in history[0]
        }

    curves = [
        ("Training loss, each task relative to its first epoch", _relative(series("loss"))),
        (
            "Validation loss, each task relative to its first epoch",
            _relative(series("loss", "val_")),
        ),
        ("Weight of each task's gradient", series("weight")),
        ("Norm of each task's gradient", series("gradient_norm")),
        ("Cosine between the gradients of two tasks", _cosines(history)),
        ("Share of task pairs in conflict", _named(history, ["conflicts"])),
    ]
    return [
        {"title": title, "source": curve(lines, log=title.startswith(("Weight", "Norm"))),
         "alt": _description(title, lines)}
        for title, lines in curves
        if lines
    ]  # fmt: skip


def _named(history: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, list[float]]:
    """The logs of these names over the epochs, those that there are."""
    known = [name for name in names if history and name in history[0]]
    return {name: [epoch.get(name, float("nan")) for epoch in history] for name in known}


def _cosines(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = [name for name in (history[0] if history else ()) if name.endswith("_cosine")]
    return {
        name.removesuffix("_cosine"): values for name, values in _named(history, names).items()
    }  # fmt: skip


def _relative(lines: dict[str, list[float]]) -> dict[str, list[float]]:
    return {task: [v / (values[0] or 1.0) for v in values] for task, values in lines.items()}


def _description(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    ends = ", ".join(f"{task} {v[0]:.3g} to {v[-1]:.3g}" for task, v in lines.items())
    return f"{title}: from the first to the last epoch {ends}"


def depth_range(pictures: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> tuple[float, float]:
    """Metres from 0 to above 99 % of the shown targets, for one colour scale in all pictures."""
    shown = [p["targets"][task][p["masks"][task] > 0] for p in pictures for task in tasks]
    depths = np.concatenate(shown) if shown else np.zeros(0)
    return (0.0, float(np.ceil(np.percentile(depths, 99)))) if depths.size else (0.0, 10.0)


def _embedded_pictures(
    picture: Mapping[str, Any],
    tasks: Sequence[Task],
    class_names: Sequence[str],
    depth_range_m: tuple[float, float],
) -> dict[str, Any]:
    """The image, and for each task the coloured prediction and target, as data URIs."""
    found: dict[str, Any] = {"image": embedded(picture["image"]), "predicted": {}, "target": {}}
    for task in tasks:
        target, mask = picture["targets"][task.name], picture["masks"][task.name]
        if target.ndim < 3:  # of the whole image: there is nothing to draw
            continue
        predicted = np.asarray(task.activation(picture["outputs"][task.name]))
        for kind, values, valid in (("predicted", predicted, None), ("target", target, mask)):
            names = names_of(task, class_names)
            coloured = colourise(task, values, names, depth_range_m, valid)
            found[kind][task.name] = embedded(coloured)
    return found


def embedded(picture: np.ndarray) -> str:
    """A picture as a data URI, no wider than 256 pixels."""
    image = Image.fromarray(picture)
    if image.width > _PICTURE_WIDTH:
        height = round(image.height * _PICTURE_WIDTH / image.width)
        image = image.resize((_PICTURE_WIDTH, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
