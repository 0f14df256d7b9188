"""Tables of a survey: metrics over seeds, Delta-m and costs, as Markdown, LaTeX and CSV."""

import dataclasses
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mtl_tf.atomic_files import read_summary
from mtl_tf.evaluation.reporting.table_files import csv_table, in_latex, latex_table
from mtl_tf.evaluation.reporting.tables import ARROWS, formatted, in_markdown, markdown_table
from mtl_tf.experiments.from_config import load_tasks
from mtl_tf.metrics import delta_m_of_seeds
from mtl_tf.surveys.grid import SINGLE_TASK
from mtl_tf.surveys.processes import Outcome
from mtl_tf.tasks import TASKS, Task

COSTS = {
    "parameters": "parameters, M",
    "multiply_adds": "GMACs",
    "step_ms": "step, ms",
    "peak_memory_mib": "memory, MiB",
}
UNITS = {"parameters": 1e6, "multiply_adds": 1e9, "step_ms": 1.0, "peak_memory_mib": 1.0}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        architecture: name of the architecture.
        balancing: name of the method.
        results: `{task: {metric: value}}` of each seed.
        seeds: the seeds of the results.
        costs: medians over seeds of the known costs, see `COSTS`; of single-task networks the sums
            over tasks (memory: the maximum).
        delta: `delta_m_of_seeds` against the single-task networks; empty for those.
        tasks: `{name: task}` of the results.
    """

    architecture: str
    balancing: str
    results: Sequence[Mapping[str, Mapping[str, float]]]
    seeds: Sequence[int]
    costs: Mapping[str, float]
    delta: Mapping[str, float]
    tasks: Mapping[str, Task] = dataclasses.field(default_factory=lambda: TASKS)

    @property
    def name(self) -> str:
        """Architecture and method, as in `Cell.row`."""
        return f"{self.architecture}, {self.balancing}"


def collect(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the rows of the finished cells; the single-task networks come first, as one row."""
    by_row: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for outcome in outcomes:
        if not outcome.problem:
            summary = read_summary(outcome.folder)
            by_row.setdefault(outcome.cell.row, {})[outcome.cell.config.seed] = summary
    configs = [outcome.cell.config for outcome in outcomes]
    known = {name: task for config in configs for name, task in load_tasks(config).items()}
    by_task = {task: s for (name, task), s in by_row.items() if name == SINGLE_TASK}
    rows, single = [], _single_task_results(by_task)
    if single:
        costs_of_tasks = [_costs(summaries.values()) for summaries in by_task.values()]
        total = {
            cost: (max if cost == "peak_memory_mib" else sum)(
                costs[cost] for costs in costs_of_tasks
            )
            for cost in COSTS
            if all(cost in costs for costs in costs_of_tasks)
        }
        results, seeds = list(single.values()), list(single)
        rows.append(Row(SINGLE_TASK, "", results, seeds, total, {}, known))
    baselines = list(single.values())
    for (architecture, balancing), summaries in by_row.items():
        if architecture == SINGLE_TASK:
            continue
        results = [summary["results"] for summary in summaries.values()]
        tasks = [known[name] for name in results[0] if baselines and name in baselines[0]]
        is_complete = len(tasks) == len(results[0]) and all(
            single[task.name][task.main_metric] for single in baselines for task in tasks
        )  # a main metric of 0 has no relative change
        delta = delta_m_of_seeds(results, baselines, tasks) if is_complete else {}
        costs = _costs(summaries.values())
        rows.append(Row(architecture, balancing, results, list(summaries), costs, delta, known))
    return rows


def _single_task_results(
    by_task: Mapping[str, Mapping[int, dict[str, Any]]],
) -> dict[int, dict[str, dict[str, float]]]:
    """Return `{seed: results of all tasks}` of the seeds that every task has."""
    first: Any = next(iter(by_task.values()), ())
    seeds = [seed for seed in first if all(seed in summaries for summaries in by_task.values())]
    return {
        seed: {task: summaries[seed]["results"][task] for task, summaries in by_task.items()}
        for seed in seeds
    }


def _costs(summaries: Collection[Mapping[str, Any]]) -> dict[str, float]:
    """Return the medians of the costs that all summaries have."""
    environments = [summary.get("environment", {}) for summary in summaries]
    return {
        cost: statistics.median(environment[cost] for environment in environments)
        for cost in COSTS
        if all(cost in environment for environment in environments)
    }


def cells_of(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[set[int]]]:
    """Return the header, the texts of each row, and the indices of the best rows by column."""
    tasks = list(dict.fromkeys(task for row in rows for task in row.results[0]))
    header = ["architecture", "balancing"]
    columns: list[list[str]] = [[r.architecture for r in rows], [r.balancing for r in rows]]
    best: list[set[int]] = [set(), set()]

    def add(
        title: str, values: Sequence[float | None], texts: list[str], higher: bool | None
    ) -> None:
        header.append(title)
        columns.append(texts)
        known = {i: value for i, value in enumerate(values) if value is not None}
        top = (max if higher else min)(known.values(), default=None)
        is_ranked = higher is not None
        best.append({i for i, value in known.items() if is_ranked and value == top})

    known = {name: task for row in rows for name, task in row.tasks.items()}
    for task in tasks:
        metric = known[task].main_metric
        seeds = [[r[task][metric] for r in row.results if task in r] for row in rows]
        values = [statistics.fmean(s) if s else None for s in seeds]
        texts = [_with_deviation(metric, s, known[task]) if s else "" for s in seeds]
        higher = known[task].higher_is_better
        add(f"{task} {known[task].label_of(metric)} {ARROWS[higher]}", values, texts, higher)
    deltas = [row.delta.get("mean") for row in rows]
    add("Δm, % ↑", deltas, list(map(_delta_text, rows)), True)
    for cost, title in COSTS.items():
        numbers = [row.costs[cost] / UNITS[cost] if cost in row.costs else None for row in rows]
        digits = 1 if cost == "parameters" else 2 if cost == "multiply_adds" else 0
        add(title, numbers, ["" if n is None else f"{n:.{digits}f}" for n in numbers], False)
    return header, [list(line) for line in zip(*columns, strict=True)], best


def _with_deviation(metric: str, values: Sequence[float], task: Task) -> str:
    text = formatted(metric, statistics.fmean(values), task)
    if len(values) < 2:
        return text
    return f"{text} ± {formatted(metric, statistics.stdev(values), task)}"


def _delta_text(row: Row) -> str:
    if not row.delta:
        return ""
    deviation = f" ± {100 * row.delta['std']:.2f}" if len(row.results) > 1 else ""
    return f"{100 * row.delta['mean']:+.2f}{deviation}"


def _marked(
    rows: Sequence[Row], escape: Callable[[str], str], bold: str
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows with escaped texts, the best of each column in bold."""
    header, lines, best = cells_of(rows)
    texts = [
        [
            bold.format(escape(text)) if text and i in best[j] else escape(text)
            for j, text in enumerate(line)
        ]
        for i, line in enumerate(lines)
    ]
    return header, texts


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table, the best of each column in bold."""
    header, lines = _marked(rows, in_markdown, "**{}**")
    return markdown_table(header, lines, num_text_columns=2)


def as_latex(rows: Sequence[Row]) -> str:
    """Return a LaTeX `tabular` (booktabs), the best of each column in bold."""
    header, lines = _marked(rows, in_latex, r"\textbf{{{}}}")
    return latex_table(header, lines, num_text_columns=2)


def as_csv(rows: Sequence[Row]) -> str:
    """Return all metrics as CSV: a line for each row, seed, task and metric."""
    lines: list[list[object]] = []
    for row in rows:
        names = [row.architecture, row.balancing]
        for seed, results in zip(row.seeds, row.results, strict=True):
            for task, metrics in results.items():
                for metric, value in metrics.items():
                    lines.append([*names, seed, task, metric, value])
        for cost, value in row.costs.items():
            lines.append([*names, "", "all", cost, value])
    return csv_table(["architecture", "balancing", "seed", "task", "metric", "value"], lines)
