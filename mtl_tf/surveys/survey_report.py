"""The report of a survey: one self-contained page with its table, plots and pictures."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from mtl_tf import data, evaluation
from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.evaluation.reporting.colours import names_of
from mtl_tf.evaluation.reporting.plots import bars, curve, scatter
from mtl_tf.evaluation.reporting.run_report import (
    PUBLISHED_METRICS,
    depth_range,
    embedded,
    formatted,
)
from mtl_tf.experiments import load_data
from mtl_tf.experiments.published import published_beside
from mtl_tf.metrics import task_deltas
from mtl_tf.surveys import tables
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import as_tasks

_PICTURES = 3
_RESAMPLES = 300


def write_survey_report(
    path: pathlib.Path, outcomes: Sequence[Outcome], rows: Sequence[tables.Row]
) -> None:
    """Writes the page.

    Args:
        path: of the HTML file.
        outcomes: of all cells; the first of each row is shown in pictures and compared.
        rows: of the table.
    """
    finished = [outcome for outcome in outcomes if not outcome.problem]
    header, lines, best = tables.cells_of(rows)
    several = [row for row in rows if row.architecture != SINGLE_TASK]
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    ).get_template("survey.html.j2")  # fmt: skip
    page = template.render(
        config=json.loads(outcomes[0].cell.config.to_json()),
        seeds=sorted({outcome.cell.config.seed for outcome in outcomes}),
        header=header,
        rows=[
            [{"text": text, "best": i in best[j]} for j, text in enumerate(line)]
            for i, line in enumerate(lines)
        ],
        plots=_plots(rows, several) + _logged_curves(finished),
        published=_published(finished, rows),
        comparisons=_comparisons(finished) if several else [],
        pictures=_pictures(finished),
        problems=[outcome.problem for outcome in outcomes if outcome.problem],
    )
    write_atomically(path, page)


def _name(row: tables.Row) -> str:
    return f"{row.architecture}, {row.balancing}"


def _plots(rows: Sequence[tables.Row], several: Sequence[tables.Row]) -> list[dict[str, str]]:
    """Delta-m by task, and against two costs."""
    with_delta = [row for row in several if row.delta]
    if not with_delta:
        return []
    single = rows[0].results[0]
    by_task = {
        _name(row): {task: 100 * change for task, change in _deltas(row, single).items()}
        for row in with_delta
    }
    title = "What each task gains against its own network (first seed)"
    found: list[tuple[str, str, Any]] = [(title, bars(by_task, "gain, %"), by_task)]
    for cost in ("parameters", "step_ms"):
        title, unit = tables.COSTS[cost], tables.UNITS[cost]
        points = {
            _name(row): (row.costs[cost] / unit, 100 * row.delta["mean"])
            for row in with_delta
            if cost in row.costs
        }
        if not points:
            continue
        found.append((f"Δm and {title}; the line joins what nothing beats in both",
                      scatter(points, title, "Δm, %"), points))  # fmt: skip
    return [{"title": title, "source": uri, "alt": f"{title}: {_said(values)}"}
            for title, uri, values in found]  # fmt: skip


def _deltas(row: tables.Row, single: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return task_deltas(row.results[0], single, [row.tasks[name] for name in single])


def _said(values: Any) -> str:
    """Numbers in words, for those who do not see the plot."""
    if isinstance(values, dict):
        return "; ".join(f"{name} {_said(value)}" for name, value in values.items())
    if isinstance(values, tuple):
        return " at ".join(f"{value:.3g}" for value in reversed(values))
    return f"{values:.3g}"


def _logged_curves(finished: Sequence[Outcome]) -> list[dict[str, str]]:
    """Curves of the task weights and gradient agreement of each method over the epochs."""
    found = []
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
            found.append({
                "title": f"{title}: {row}", "source": curve(lines, log=suffix == "_weight"),
                "alt": f"{title}: {row}, first at last epoch: {_said(ends)}",
            })  # fmt: skip
    return found


def _published(finished: Sequence[Outcome], rows: Sequence[tables.Row]) -> dict[str, Any]:
    """Published numbers beside the means over seeds, what differs, and why rows have none."""
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
        lines.insert(0, {
            "row": row, "like": like,
            "pairs": [_pair(task, ours.results, like["results"]) for task in tasks],
            "delta": f"{100 * ours.delta['mean']:+.2f}" if ours.delta else "",
            "published_delta": "" if like["delta_m"] is None else f"{100 * like['delta_m']:+.2f}",
        })  # fmt: skip
    told = [line["like"]["differences"] for line in lines]
    common = [text for text in told[0] if all(text in other for other in told)] if told else []
    for line, texts in zip(lines, told, strict=True):
        line["own"] = [text for text in texts if text not in common]
    return {"lines": lines, "tasks": tasks, "common": common, "without": without}


def _pair(task: str, results: Sequence[Any], published: dict[str, float]) -> tuple[str, str]:
    """A task's result and the published one, as text; of edges only by the same measure."""
    metric = PUBLISHED_METRICS[task]
    if task not in published:
        return "", ""
    known = [seed[task][metric] for seed in results if metric in seed.get(task, ())]
    ours = formatted(metric, statistics.fmean(known), task) if known else ""
    return ours, formatted(metric, published[task], task)


def _first_of_rows(finished: Sequence[Outcome]) -> list[Outcome]:
    """The first seed of each row of multi-task networks."""
    found: dict[tuple[str, str], Outcome] = {}
    for outcome in finished:
        if outcome.cell.row[0] != SINGLE_TASK:
            found.setdefault(outcome.cell.row, outcome)
    return list(found.values())


def _comparisons(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Delta-m of each row against the first one, with its interval over images."""
    first, *others = _first_of_rows(finished)
    found = []
    for outcome in others:
        a, b = (evaluation.ImageStates.load(o.folder) for o in (outcome, first))
        delta = evaluation.compare(a, b, _RESAMPLES)[-1]
        found.append({"row": ", ".join(outcome.cell.row), "images": len(a), "delta": delta,
                      "against": ", ".join(first.cell.row)})  # fmt: skip
    return found


def _pictures(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The same validation images through every network: rows of pictures by task."""
    rows = _first_of_rows(finished)
    if not rows:
        return []
    dataset = load_data(rows[0].cell.config)
    batches = list(dataset.val().unbatch().batch(1).take(_PICTURES))
    shown: list[dict[str, Any]] = [
        {
            "image": data.denormalise(image[0].numpy()),
            **{kind: {t: x[t][0].numpy() for t in dataset.tasks}
               for kind, x in (("targets", targets), ("masks", masks))},
        }
        for image, targets, masks in batches
    ]  # fmt: skip
    known = {task.name: task for task in as_tasks(dataset.tasks)}
    metres = depth_range(shown, [t for t in known if known[t].kind is TargetKind.DISTANCE])

    def coloured(task: str, values: np.ndarray, mask: np.ndarray | None = None) -> str:
        names = names_of(known[task], dataset.class_names)
        return embedded(evaluation.colourise(known[task], values, names, metres, mask))

    found: list[dict[str, Any]] = [
        {
            "image": embedded(picture["image"]),
            "tasks": list(dataset.tasks),
            "lines": [{"name": "target", "maps": {
                t: coloured(t, picture["targets"][t], picture["masks"][t]) for t in dataset.tasks
            }}],
        }
        for picture in shown
    ]  # fmt: skip
    alone = [o for o in finished if o.cell.row[0] == SINGLE_TASK
             and o.cell.config.seed == rows[0].cell.config.seed]  # fmt: skip
    networks = [("single-task networks", alone), *((", ".join(o.cell.row), [o]) for o in rows)]
    for name, cells in networks:
        maps: list[dict[str, str]] = [{} for _ in found]
        for outcome in cells:
            model = load_network(outcome.folder / "model.keras")
            for i, (image, _, _) in enumerate(batches):
                outputs = model(image, training=False)
                for task in outputs.keys() & dataset.tasks.keys():
                    maps[i][task] = coloured(task, known[task].activation(outputs[task])[0].numpy())
        for picture, of_row in zip(found, maps, strict=True):
            if of_row:
                picture["lines"].append({"name": name, "maps": of_row})
    return found
