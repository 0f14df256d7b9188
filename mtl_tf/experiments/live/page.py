"""The page of the live view, and the part of it that is sent again when runs change."""

import functools
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from mtl_tf.evaluation.reporting.figures import Figure
from mtl_tf.evaluation.reporting.learning_curves import curve_of_runs, curves_of_runs
from mtl_tf.evaluation.reporting.pages import render_page
from mtl_tf.evaluation.reporting.palette import method_colours_of
from mtl_tf.evaluation.reporting.tables import ARROWS, formatted
from mtl_tf.experiments.live.runs import LiveRun, read_runs
from mtl_tf.tasks import TASKS, Task

_FOLDER = pathlib.Path(__file__).parent


def page(root: pathlib.Path) -> str:
    """Return the page.

    Args:
        root: folder of the runs.
    """
    return render_page(_FOLDER / "live.html.j2", root=root.name or str(root))


def content(root: pathlib.Path, selected: Collection[str]) -> str:
    """Return the table of the runs, and curves and pictures of the selected ones.

    Args:
        root: folder of the runs.
        selected: names of runs; without any, the latest is shown.
    """
    runs = read_runs(root)
    known = {run.name for run in runs}
    chosen = [name for name in selected if name in known] or [run.name for run in runs[:1]]
    shown = [run for run in runs if run.name in chosen]
    tasks = _tasks(runs)
    return render_page(
        _FOLDER / "content.html.j2",
        header=[f"{task.name} {task.label_of(task.main_metric)}" for task in tasks],
        rows=[
            {
                "run": run,
                "is_shown": run.name in chosen,
                "has_report": (run.folder / "report.html").is_file(),
                "metrics": [_latest(run, task) for task in tasks],
            }
            for run in runs
        ],
        figures=_figures(tuple((run.name, _frozen(run)) for run in shown), tuple(tasks)),
        pictures=[run for run in shown if run.pictures],
    )


def _tasks(runs: Sequence[LiveRun]) -> list[Task]:
    """Return the tasks of the runs that the library knows; loading others would run their code."""
    names = dict.fromkeys(name for run in runs for name in run.config.get("tasks", ()))
    return [TASKS[name] for name in names if name in TASKS]


def _latest(run: LiveRun, task: Task) -> str:
    log = f"val_{task.name}_{task.main_metric}"
    if not run.history or log not in run.history[-1]:
        return ""
    arrow = ARROWS[task.higher_is_better]
    return f"{formatted(task.main_metric, run.history[-1][log], task)} {arrow}"


def _frozen(run: LiveRun) -> tuple[tuple[tuple[str, float], ...], ...]:
    return tuple(tuple(sorted(entry.items())) for entry in run.history)


@functools.lru_cache(maxsize=16)  # drawing takes longer than the time between two requests
def _figures(runs: tuple[Any, ...], tasks: tuple[Task, ...]) -> list[Figure]:
    """Plot the main metric of each task, its training loss, and the learning rate."""
    histories = {name: [dict(entry) for entry in history] for name, history in runs}
    colours = method_colours_of(histories)
    figures = curves_of_runs(histories, tasks, colours)
    logs = {"loss": "Sum of the training losses", "learning_rate": "Learning rate"}
    more = (curve_of_runs(histories, log, title, colours) for log, title in logs.items())
    return [*figures, *(figure for figure in more if figure is not None)]
