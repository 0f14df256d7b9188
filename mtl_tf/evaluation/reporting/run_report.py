"""Report of a run: results as JSON, Markdown, CSV and LaTeX, and one HTML page."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation.reporting import learning_curves
from mtl_tf.evaluation.reporting.failures import failures
from mtl_tf.evaluation.reporting.pages import download, render_page
from mtl_tf.evaluation.reporting.pictures import MapPictures, embedded, legends
from mtl_tf.evaluation.reporting.plots import depth_bar
from mtl_tf.evaluation.reporting.result_rows import as_csv, as_latex, as_markdown, result_rows
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, TasksLike, as_tasks

_TEMPLATE = pathlib.Path(__file__).with_name("run_report.html.j2")


def write_report(
    folder: str | os.PathLike[str],
    summary: Mapping[str, Any],
    pictures: Sequence[Mapping[str, Any]] = (),
    tasks: TasksLike | None = None,
    diagnostics: Mapping[str, Any] | None = None,
    cases: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> pathlib.Path:
    """Write `results.json`, `report.md`, `results.csv`, `results.tex` and `report.html`.

    The page is self-contained: it loads nothing from elsewhere.

    Args:
        folder: where to write; it must exist.
        summary: `results` and `baseline` (`{task: {metric: value}}`); optionally `history` (a
            dictionary of logs for each epoch), `config` and `environment` (flat dictionaries),
            `command`, `kept` (`epoch`, `relative_to`) and `published` (`preset`, `results` by task,
            `delta_m`, `source`, `differences`; `why_not` where the protocols do not allow a
            comparison).
        pictures: of images: `image [h, w, 3]` uint8, `targets` and `masks` by task, raw `outputs`
            at their size, and optionally a `name`. The first one leads the page.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects, whose class names are in the
            legend; by default the tasks of the results, which must be known by name.
        diagnostics: `{task: {name: diagnostic}}` of `mtl_tf.evaluation.Diagnostics`.
        cases: `{task: {"best" | "median" | "worst": picture}}`, pictures as above with a `score`.

    Returns:
        Path of `report.html`.
    """
    folder = pathlib.Path(folder)
    by_name = {t.name: t for t in as_tasks(list(summary["results"]) if tasks is None else tasks)}
    evaluated = [by_name[name] for name in summary["results"]]
    rows = result_rows(evaluated, summary["results"], summary["baseline"], summary.get("published"))
    note = published_note(summary.get("published"))
    files = {"results.csv": as_csv(rows), "results.tex": as_latex(rows)}
    for name, content in {**files, "results.json": json.dumps(summary, indent=2)}.items():
        write_atomically(folder / name, content)
    public = _without_folders(summary)  # the page is shared
    files["results.json"] = json.dumps(public, indent=2)
    write_atomically(folder / "report.md", as_markdown(rows) + (f"\n{note}\n" if note else ""))
    page = _page(evaluated, public, rows, pictures, diagnostics or {}, cases or {}, files)
    write_atomically(folder / "report.html", page)
    return folder / "report.html"


def _page(
    tasks: Sequence[Task],
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    pictures: Sequence[Mapping[str, Any]],
    diagnostics: Mapping[str, Any],
    cases: Mapping[str, Mapping[str, Mapping[str, Any]]],
    files: Mapping[str, str],
) -> str:
    names = [task.name for task in tasks]
    of_cases = [picture for case in cases.values() for picture in case.values()]
    maps = MapPictures(tasks, [*pictures, *of_cases])
    history = summary.get("history", [])
    has_distances = any(task.kind is TargetKind.DISTANCE for task in tasks)
    media = {"json": "application/json", "csv": "text/csv", "tex": "application/x-tex"}
    return render_page(
        _TEMPLATE,
        summary={"config": {}, "environment": {}, "history": [], **summary},
        rows=rows,
        has_published=any(row["published"] for row in rows),
        published_note=published_note(summary.get("published")),
        better=sum(1 for row in rows if row["is_main"] and row["is_better"]),
        tasks=names,
        pictures=[_embedded_pictures(picture, tasks, maps) for picture in pictures],
        legends=legends(tasks),
        depth_bar=depth_bar(*maps.depth_range_m) if has_distances else None,
        failures=failures(tasks, diagnostics, cases, maps),
        metric_curves=learning_curves.metric_curves(history, tasks),
        loss_curves=learning_curves.loss_curves(history, tasks),
        balancing_curves=learning_curves.balancing_curves(history, names),
        run=_facts(summary),
        downloads={
            name: download(content, media[name.split(".")[1]]) for name, content in files.items()
        },
    )


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


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the known facts of a run that a reader asks for first."""
    config, machine = summary.get("config", {}), summary.get("environment", {})
    facts: dict[str, str] = {}

    def fact(name: str, form: str, *values: Any) -> None:
        if all(value is not None for value in values):
            facts[name] = form.format(*values)

    fact("network", "{} on {}", config.get("architecture"), config.get("backbone"))
    fact("parameters", "{:,}", machine.get("parameters"))
    fact("multiply-adds of an image", "{:,}", machine.get("multiply_adds"))
    fact("balancing", "{}", config.get("balancing"))
    fact("data", "{} at {}×{}", config.get("data"), config.get("height"), config.get("width"))
    fact(
        "images",
        "{:,} for training, {:,} for evaluation",
        machine.get("train_images"),
        machine.get("test_images"),
    )
    fact("seed", "{}", config.get("seed"))
    if machine.get("training_s") is not None:
        epochs = len(summary.get("history", ()))
        facts["training"] = f"{epochs} epochs in {machine['training_s'] / 60:.1f} minutes"
    if machine.get("step_ms") and config.get("batch_size"):
        per_second = 1000 * config["batch_size"] / machine["step_ms"]
        facts["speed of training"] = f"{per_second:.1f} images per second"
    fact("memory of training", "{:,} MiB", machine.get("peak_memory_mib"))
    fact("hardware", "{} × {}", machine.get("processors"), machine.get("processor"))
    if machine.get("gpus"):
        facts["GPUs"] = ", ".join(machine["gpus"])
    packages = ("mtl_tf", "tensorflow", "tensorflow-cpu", "keras", "numpy", "python")
    versions = [f"{name} {machine[name]}" for name in packages if name in machine]
    if versions:
        facts["versions"] = ", ".join(versions)
    return facts


def _without_folders(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return options without the folders of this machine: of absolute paths the last part."""
    if isinstance(value, Mapping):
        return {name: _without_folders(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if isinstance(value, str) and pathlib.PurePath(value).is_absolute():
        return pathlib.PurePath(value).name
    return value


def _embedded_pictures(
    picture: Mapping[str, Any], tasks: Sequence[Task], maps: MapPictures
) -> dict[str, Any]:
    """Return the image and the maps of each task as data URIs; image-level tasks have no map."""
    targets, masks, outputs = picture["targets"], picture["masks"], picture["outputs"]
    names = [task.name for task in tasks if np.ndim(targets[task.name]) == 3]
    return {
        "name": picture.get("name", ""),
        "image": embedded(picture["image"]),
        "predicted": {name: maps.prediction(name, outputs[name]) for name in names},
        "target": {name: maps.target(name, targets[name], masks[name]) for name in names},
    }
