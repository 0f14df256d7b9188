"""Surveys: single-task baselines and a grid of cells, their tables and report."""

import json
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mtl_tf.atomic_files import write_atomically
from mtl_tf.experiments.terminal import say
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.surveys import tables
from mtl_tf.surveys.grid import Row, make_cells
from mtl_tf.surveys.processes import Outcome, run_cells
from mtl_tf.surveys.survey_report import write_survey_report


@as_python_errors()
def survey(
    out: str | os.PathLike[str],
    rows: Iterable[Row],
    seeds: Sequence[int] = (0,),
    base: dict[str, Any] | None = None,
    alone: dict[str, Any] | None = None,
    always: dict[str, Any] | None = None,
    workers: int = 1,
    time_limit_s: float = 6 * 3600,
    memory_limit_mib: float = 16_384,
    tell: Callable[[str], None] = say,
) -> list[str]:
    """Train and evaluate every cell; write tables (Markdown, LaTeX, CSV) and `report.html`.

    A single-task network of every task comes first; Delta-m is relative to these. A repeated call
    skips finished cells, which are recognised by their configuration. `report.html` is also written
    after each cell, with those that have ended.

    Source: Vandenhende et al., TPAMI 2021, tables 5 and 6.

    Args:
        out: folder of the survey; created if missing.
        rows: `(architecture, balancing)`, or `(label, balancing, options)` with options of the row.
        seeds: seeds; every cell runs once for each.
        base: options of all cells, see `Config`.
        alone: options of the single-task cells.
        always: options of all cells that override those of single-task cells and rows.
        workers: number of cells that run at the same time.
        time_limit_s: maximum time of one cell.
        memory_limit_mib: maximum resident memory of one cell.
        tell: callback that receives a line for every event.

    Returns:
        An error message for each failed cell.

    Raises:
        ValueError: for an unknown option, architecture or method, or a limit that is not positive.
    """
    folder = pathlib.Path(out)
    cells = make_cells(rows, seeds, base or {}, alone, always)
    folder.mkdir(parents=True, exist_ok=True)
    listed = [
        {"key": cell.key, "row": cell.row, "config": json.loads(cell.config.to_json())}
        for cell in cells
    ]
    write_atomically(folder / "survey.json", json.dumps(listed, indent=2))

    def write_partial(ended: list[Outcome]) -> None:
        (folder / "table.csv").unlink(missing_ok=True)  # the report is no longer complete
        try:
            partial = tables.collect(ended)
            if partial:
                left = len(cells) - len(ended)
                write_survey_report(folder / "report.html", ended, partial, left)
        except Exception as error:  # must not end the cells that are running
            tell(f"report.html was not written, the cells go on: {error!r}")

    outcomes = run_cells(
        cells, folder, workers, time_limit_s, memory_limit_mib, tell, ended=write_partial
    )
    rows_of_table = tables.collect(outcomes)
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    numbers = tables.as_csv(rows_of_table)
    if problems or not _report_is_current(folder, numbers):
        write_atomically(folder / "table.md", tables.as_markdown(rows_of_table))
        write_atomically(folder / "table.tex", tables.as_latex(rows_of_table))
        write_survey_report(folder / "report.html", outcomes, rows_of_table)
        write_atomically(folder / "table.csv", numbers)  # last: marks the report as complete
    return problems


def _report_is_current(folder: pathlib.Path, numbers: str) -> bool:
    """Return whether the written report matches these results."""
    stored = folder / "table.csv"
    return stored.is_file() and stored.read_text(encoding="utf-8") == numbers
