"""Report of a survey: one self-contained page with its table, plots and pictures."""

import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from mtl_tf import evaluation
from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation.reporting.pages import download, render_page
from mtl_tf.evaluation.reporting.tables import PUBLISHED_METRICS, formatted
from mtl_tf.experiments.published import published_beside
from mtl_tf.surveys import survey_plots, tables
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome, first_of_rows
from mtl_tf.surveys.survey_pictures import survey_pictures
from mtl_tf.typing import Results

_NUM_RESAMPLES = 300
_TEMPLATE = pathlib.Path(__file__).with_name("survey_report.html.j2")


def write_survey_report(
    path: pathlib.Path, outcomes: Sequence[Outcome], rows: Sequence[tables.Row], left: int = 0
) -> None:
    """Write the page; while cells are left, without comparisons and pictures.

    Args:
        path: path of the HTML file, in the folder of the survey.
        outcomes: outcomes of the ended cells; pictures, curves and comparisons show the first seed
            of each row.
        rows: rows of the table.
        left: number of cells that have not ended.
    """
    finished = [outcome for outcome in outcomes if not outcome.problem]
    header, lines, best = tables.cells_of(rows)
    links = _links(path.parent, finished)
    known = {name: task for row in rows for name, task in row.tasks.items()}
    tasks = list(dict.fromkeys(task for row in rows for task in row.results[0]))
    is_multi_task = any(row.architecture != SINGLE_TASK for row in rows)
    page = render_page(
        _TEMPLATE,
        config=json.loads(outcomes[0].cell.config.to_json()),
        seeds=sorted({outcome.cell.config.seed for outcome in outcomes}),
        left=left,
        ended=len(outcomes),
        header=header,
        rows=[
            {
                "cells": [{"text": t, "best": i in best[j]} for j, t in enumerate(line)],
                "links": links.get(line[0] if line[0] == SINGLE_TASK else tuple(line[:2]), []),
            }
            for i, line in enumerate(lines)
        ],
        gains=survey_plots.gain_plots(rows),
        learning=survey_plots.learning_plots(finished, {name: known[name] for name in tasks}),
        balancing=survey_plots.balancing_plots(finished),
        published=_published(finished, rows),
        comparisons=_comparisons(finished) if is_multi_task and not left else [],
        pictures=[] if left else survey_pictures(finished),
        problems=[outcome.problem for outcome in outcomes if outcome.problem],
        downloads={
            "table.csv": download(tables.as_csv(rows), "text/csv"),
            "table.tex": download(tables.as_latex(rows), "application/x-tex"),
        },
    )
    write_atomically(path, page)


def _links(folder: pathlib.Path, finished: Sequence[Outcome]) -> dict[Any, list[dict[str, str]]]:
    """Return links to the reports of the cells by row; single-task networks share one row."""
    links: dict[Any, list[dict[str, str]]] = {}
    for outcome in finished:
        report = outcome.folder / "report.html"
        if not report.is_file():
            continue
        row, seed = outcome.cell.row, outcome.cell.config.seed
        is_single = row[0] == SINGLE_TASK
        links.setdefault(SINGLE_TASK if is_single else row, []).append(
            {
                "text": f"{row[1]}, seed {seed}" if is_single else f"seed {seed}",
                "href": report.relative_to(folder).as_posix(),
            }
        )
    return links


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
    if task not in published:
        return "", ""
    metric = PUBLISHED_METRICS[task]
    known = [seed[task][metric] for seed in results if metric in seed.get(task, ())]
    ours = formatted(metric, statistics.fmean(known), task) if known else ""
    return ours, formatted(metric, published[task], task)


def _comparisons(finished: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return Delta-m of each row against the first one, with its interval over images."""
    first, *others = first_of_rows(finished)
    comparisons = []
    for outcome in others:
        a, b = (evaluation.ImageStates.load(o.folder) for o in (outcome, first))
        differences = evaluation.compare(a, b, _NUM_RESAMPLES)
        comparisons += [
            {
                "row": ", ".join(outcome.cell.row),
                "against": ", ".join(first.cell.row),
                "images": len(a),
                "delta": delta,
            }
            for delta in differences
            if delta.metric == "delta_m"  # undefined where a metric is 0
        ]
    return comparisons
