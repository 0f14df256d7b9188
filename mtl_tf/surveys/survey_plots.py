"""Plots of a survey: gains, costs, learning curves, and the logs of balancing methods.

Each method and each task has one colour in all of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mtl_tf.atomic_files import read_summary
from mtl_tf.evaluation.reporting.figures import Figure
from mtl_tf.evaluation.reporting.learning_curves import curves_of_runs
from mtl_tf.evaluation.reporting.palette import method_colours_of, task_colours_of
from mtl_tf.evaluation.reporting.plots import bars, curve, scatter
from mtl_tf.metrics import task_deltas
from mtl_tf.surveys import tables
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome, first_of_rows
from mtl_tf.tasks import Task


def gain_plots(rows: Sequence[tables.Row]) -> list[Figure]:
    """Plot the gain of each task, and Delta-m against two costs.

    Args:
        rows: of the table; those without Delta-m are left out.
    """
    with_delta = [row for row in rows if row.architecture != SINGLE_TASK and row.delta]
    if not with_delta:
        return []
    single = rows[0].results[0]
    names = [row.name for row in with_delta]
    by_row = {
        row.name: {task: 100 * change for task, change in _deltas(row, single).items()}
        for row in with_delta
    }
    title = "Gain of each task over its own network (first seed)"
    plots = [bars(title, by_row, "gain, %", task_colours_of(single))]
    for cost in ("parameters", "step_ms"):
        title, unit = tables.COSTS[cost], tables.UNITS[cost]
        points = {
            row.name: (row.costs[cost] / unit, 100 * row.delta["mean"])
            for row in with_delta
            if cost in row.costs
        }
        spread = {row.name: 100 * row.delta["std"] for row in with_delta if len(row.results) > 1}
        if points:
            caption = f"Δm and {title}; line: Pareto front"
            if spread:
                caption += "; bars: standard deviation over seeds"
            colours = method_colours_of(names)
            plots.append(scatter(caption, points, title, "Δm, %", colours, spread))
    return plots


def _deltas(row: tables.Row, single: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return task_deltas(row.results[0], single, [row.tasks[name] for name in single])


def learning_plots(finished: Sequence[Outcome], tasks: Mapping[str, Task]) -> list[Figure]:
    """Plot the main metric and the training loss of each task, a line for each row.

    Args:
        finished: outcomes of the finished cells; the first seed of each row is drawn.
        tasks: `{name: task}`.
    """
    histories = {
        ", ".join(outcome.cell.row): read_summary(outcome.folder).get("history", [])
        for outcome in first_of_rows(finished)
    }
    return curves_of_runs(histories, list(tasks.values()), method_colours_of(histories))


def balancing_plots(finished: Sequence[Outcome]) -> list[Figure]:
    """Plot the task weights and gradient cosines of each row that changes them.

    Args:
        finished: outcomes of the finished cells; the first seed of each row is drawn.
    """
    plots = []
    for outcome in first_of_rows(finished):
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
            colours = task_colours_of(lines) if suffix == "_weight" else None
            plots.append(curve(f"{title}: {row}", lines, "", colours, log=suffix == "_weight"))
    return plots
