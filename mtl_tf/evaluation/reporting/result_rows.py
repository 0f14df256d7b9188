"""Results of a run as rows, and those as Markdown, CSV and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mtl_tf.evaluation.reporting.table_files import csv_table, in_latex, latex_table
from mtl_tf.evaluation.reporting.tables import (
    ARROWS,
    PUBLISHED_METRICS,
    formatted,
    in_markdown,
    markdown_table,
)
from mtl_tf.metrics import MetricInfo
from mtl_tf.tasks import Task

Row = dict[str, Any]


def result_rows(
    tasks: Sequence[Task],
    results: Mapping[str, Any],
    baseline: Mapping[str, Any],
    published: Mapping[str, Any] | None,
) -> list[Row]:
    """Return a row for each task and metric.

    Args:
        tasks: of the results.
        results: `{task: {metric: value}}`.
        baseline: the same of the trivial baseline.
        published: `results` by task; see `write_report`.
    """
    rows = []
    published_results = published["results"] if published else {}
    for task in tasks:
        name = task.name
        for metric, value in results[name].items():
            info = task.metric_info.get(metric, MetricInfo(None))
            trivial = baseline[name].get(metric)  # the edge benchmark is for networks only
            is_published = name in published_results and metric == PUBLISHED_METRICS[name]
            rows.append(
                {
                    "task": name,
                    "metric": metric,
                    "label": task.label_of(metric),
                    "direction": ARROWS[info.higher_is_better],
                    "ours": formatted(metric, value, task),
                    "baseline": "" if trivial is None else formatted(metric, trivial, task),
                    "published": (
                        formatted(metric, published_results[name], task) if is_published else ""
                    ),
                    "value": value,
                    "trivial": trivial,
                    "is_main": metric == task.main_metric,
                    "is_better": info.higher_is_better is not None
                    and trivial is not None
                    and (value > trivial if info.higher_is_better else value < trivial),
                }
            )
    return rows


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table, values better than the baseline in bold."""
    return markdown_table(*_cells(rows, in_markdown, "**{}**"), 2)


def as_latex(rows: Sequence[Row]) -> str:
    """Return a LaTeX `tabular` (booktabs), values better than the baseline in bold."""
    return latex_table(*_cells(rows, in_latex, r"\textbf{{{}}}"), 2)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the values without rounding: fractions, metres, degrees."""
    header = ("task", "metric", "model", "trivial_baseline")
    return csv_table(header, ([r["task"], r["metric"], r["value"], r["trivial"]] for r in rows))


def _cells(
    rows: Sequence[Row], escape: Callable[[str], str], bold: str
) -> tuple[list[str], list[list[str]]]:
    """Return header and escaped cells; the published column only if there is a number."""
    has_published = any(row["published"] for row in rows)
    header = ["task", "metric", "model", "trivial baseline", *["published"] * has_published]
    lines = []
    for row in rows:
        ours = escape(row["ours"])
        ours = bold.format(ours) if row["is_better"] else ours
        metric = f"{escape(row['label'])} {escape(row['direction'])}".strip()
        line = [escape(row["task"]), metric, ours, escape(row["baseline"])]
        lines.append([*line, escape(row["published"])] if has_published else line)
    return header, lines
