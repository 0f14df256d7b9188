"""Report of a survey: one self-contained page with its table, plots and pictures."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtl_tf import data, evaluation
from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.evaluation.reporting.pages import render_page
from mtl_tf.evaluation.reporting.pictures import MapPictures, embedded
from mtl_tf.evaluation.reporting.plots import bars, curve, scatter
from mtl_tf.evaluation.reporting.tables import PUBLISHED_METRICS, formatted
from mtl_tf.experiments import load_data
from mtl_tf.experiments.published import published_beside
from mtl_tf.metrics import task_deltas
from mtl_tf.surveys import tables
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome
from mtl_tf.tasks import as_tasks
from mtl_tf.typing import Results

_NUM_PICTURES = 3
_NUM_RESAMPLES = 300
_TEMPLATE = pathlib.Path(__file__).with_name("survey_report.html.j2")


def write_survey_report(
    path: pathlib.Path, outcomes: Sequence[Outcome], rows: Sequence[tables.Row]
) -> None:
    """Write the page.

    Args:
        path: path of the HTML file.
        outcomes: outcomes of all cells; pictures and comparisons show the first of each row.
        rows: rows of the table.
    """
    finished = [outcome for outcome in outcomes if not outcome.problem]
    header, lines, best = tables.cells_of(rows)
    multi_task = [row for row in rows if row.architecture != SINGLE_TASK]
    page = render_page(
        _TEMPLATE,
        config=json.loads(outcomes[0].cell.config.to_json()),
        seeds=sorted({outcome.cell.config.seed for outcome in outcomes}),
        header=header,
        rows=[
            [{"text": text, "best": i in best[j]} for j, text in enumerate(line)]
            for i, line in enumerate(lines)
        ],
        plots=_plots(rows, multi_task) + _logged_curves(finished),
        published=_published(finished, rows),
        comparisons=_comparisons(finished) if multi_task else [],
        pictures=_pictures(finished),
        problems=[outcome.problem for outcome in outcomes if outcome.problem],
    )
    write_atomically(path, page)


def _name(row: tables.Row) -> str:
    return f"{row.architecture}, {row.balancing}"


def _plots(rows: Sequence[tables.Row], multi_task: Sequence[tables.Row]) -> list[dict[str, str]]:
    """Plot the gain of each task, and Delta-m against two costs."""
    with_delta = [row for row in multi_task if row.delta]
    if not with_delta:
        return []
    single = rows[0].results[0]
    by_task = {
        _name(row): {task: 100 * change for task, change in _deltas(row, single).items()}
        for row in with_delta
    }
    title = "What each task gains against its own network (first seed)"
    plots = [_plot(title, bars(by_task, "gain, %"), by_task)]
    for cost in ("parameters", "step_ms"):
        title, unit = tables.COSTS[cost], tables.UNITS[cost]
        points = {
            _name(row): (row.costs[cost] / unit, 100 * row.delta["mean"])
            for row in with_delta
            if cost in row.costs
        }
        if points:
            uri = scatter(points, title, "Δm, %")
            plots.append(_plot(f"Δm and {title}; the line joins the Pareto front", uri, points))
    return plots


def _deltas(row: tables.Row, single: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return task_deltas(row.results[0], single, [row.tasks[name] for name in single])


def _plot(title: str, source: str, values: dict[str, Any]) -> dict[str, str]:
    return {"title": title, "source": source, "alt": f"{title}: {_alt_text(values)}"}


def _alt_text(values: dict[str, Any] | tuple[float, ...] | float) -> str:
    """Return the numbers of a plot as text."""
    if isinstance(values, dict):
        return "; ".join(f"{name} {_alt_text(value)}" for name, value in values.items())
    if isinstance(values, tuple):
        return " at ".join(f"{value:.3g}" for value in reversed(values))
    return f"{values:.3g}"


def _logged_curves(finished: Sequence[Outcome]) -> list[dict[str, str]]:
    """Plot the task weights and gradient cosines of each method over the epochs."""
    plots = []
    for outcome in _first_of_rows(finished):
        history = read_summary(outcome.folder).get("history", [])
        row = ", ".join(outcome.cell.row)
        for suffix, title in (
            ("_weight", "Weight of each task's loss or gradient"),
            ("_cosine", "Cosine between the gradients of two tasks"),
        ):
            names = [n for n in (history[0] if history else ()) if n.endswith(suffix)]
            lines = {n.removesuffix(suffix): [epoch[n] for epoch in history] for n in names}
            if not lines or all(np.ptp(values) < 1e-6 for values in lines.values()):
                continue
            ends = {name: (values[-1], values[0]) for name, values in lines.items()}
            plots.append(
                {
                    "title": f"{title}: {row}",
                    "source": curve(lines, log=suffix == "_weight"),
                    "alt": f"{title}: {row}, first at last epoch: {_alt_text(ends)}",
                }
            )
    return plots


def _published(finished: Sequence[Outcome], rows: Sequence[tables.Row]) -> dict[str, Any]:
    """Return published numbers beside the means over seeds, and why some rows have none."""
    measured = {(row.architecture, row.balancing): row for row in rows}
    tasks = list(dict.fromkeys(task for row in rows for task in row.results[0]))
    lines: list[dict[str, Any]] = []
    without: dict[str, list[str]] = {}
    for row, outcome in {o.cell.row: o for o in reversed(finished)}.items():
        like = published_beside(outcome.cell.config)
        ours = measured.get((SINGLE_TASK, "") if row[0] == SINGLE_TASK else row)
        if like is None or ours is None:
            continue
        if like["why_not"]:
            without.setdefault(like["why_not"], []).insert(0, ", ".join(row))
            continue
        published_delta = like["delta_m"]
        line = {
            "row": row,
            "like": like,
            "pairs": [_pair(task, ours.results, like["results"]) for task in tasks],
            "delta": f"{100 * ours.delta['mean']:+.2f}" if ours.delta else "",
            "published_delta": "" if published_delta is None else f"{100 * published_delta:+.2f}",
        }
        lines.insert(0, line)
    differences = [line["like"]["differences"] for line in lines]
    first = differences[0] if differences else []
    common = [text for text in first if all(text in texts for texts in differences)]
    for line, texts in zip(lines, differences, strict=True):
        line["differences"] = [text for text in texts if text not in common]
    return {"lines": lines, "tasks": tasks, "common": common, "without": without}


def _pair(task: str, results: Sequence[Results], published: dict[str, float]) -> tuple[str, str]:
    """Format a task's mean result and the published one, if both have the published metric."""
    metric = PUBLISHED_METRICS[task]
    if task not in published:
        return "", ""
    known = [seed[task][metric] for seed in results if metric in seed.get(task, ())]
    ours = formatted(metric, statistics.fmean(known), task) if known else ""
    return ours, formatted(metric, published[task], task)


def _first_of_rows(finished: Sequence[Outcome]) -> list[Outcome]:
    """Return the first outcome of each row of multi-task networks."""
    by_row: dict[tuple[str, str], Outcome] = {}
    for outcome in finished:
        if outcome.cell.row[0] != SINGLE_TASK:
            by_row.setdefault(outcome.cell.row, outcome)
    return list(by_row.values())


def _comparisons(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return Delta-m of each row against the first one, with its interval over images."""
    first, *others = _first_of_rows(finished)
    comparisons = []
    for outcome in others:
        a, b = (evaluation.ImageStates.load(o.folder) for o in (outcome, first))
        comparisons.append(
            {
                "row": ", ".join(outcome.cell.row),
                "against": ", ".join(first.cell.row),
                "images": len(a),
                "delta": evaluation.compare(a, b, _NUM_RESAMPLES)[-1],
            }
        )
    return comparisons


def _pictures(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return rows of maps by task, of the same validation images from every network."""
    rows = _first_of_rows(finished)
    if not rows:
        return []
    dataset = load_data(rows[0].cell.config)
    batches = list(dataset.val().unbatch().batch(1).take(_NUM_PICTURES))
    examples: list[dict[str, Any]] = [
        {
            "image": data.denormalise(image[0].numpy()),
            "targets": {task: targets[task][0].numpy() for task in dataset.tasks},
            "masks": {task: masks[task][0].numpy() for task in dataset.tasks},
        }
        for image, targets, masks in batches
    ]
    maps = MapPictures(as_tasks(dataset.tasks), examples)
    pictures: list[dict[str, Any]] = []
    for example in examples:
        targets, masks = example["targets"], example["masks"]
        of_targets = {task: maps.target(task, targets[task], masks[task]) for task in targets}
        pictures.append(
            {
                "image": embedded(example["image"]),
                "tasks": list(dataset.tasks),
                "lines": [{"name": "target", "maps": of_targets}],
            }
        )
    seed = rows[0].cell.config.seed
    single = [o for o in finished if o.cell.row[0] == SINGLE_TASK and o.cell.config.seed == seed]
    networks = [("single-task networks", single), *((", ".join(o.cell.row), [o]) for o in rows)]
    for name, outcomes in networks:
        predictions: list[dict[str, str]] = [{} for _ in batches]
        for outcome in outcomes:
            model = load_network(outcome.folder / "model.keras")
            for i, (image, _, _) in enumerate(batches):
                outputs = model(image, training=False)
                for task in outputs.keys() & dataset.tasks.keys():
                    predictions[i][task] = maps.prediction(task, outputs[task][0])
        for picture, of_network in zip(pictures, predictions, strict=True):
            if of_network:
                picture["lines"].append({"name": name, "maps": of_network})
    return pictures
