"""Learning curves of a run: one plot for each task, so that none hides another."""

from collections.abc import Mapping, Sequence

from mtl_tf.evaluation.reporting.figures import Figure
from mtl_tf.evaluation.reporting.palette import task_colours_of
from mtl_tf.evaluation.reporting.plots import curve
from mtl_tf.tasks import Task

History = Sequence[Mapping[str, float]]


def metric_curves(history: History, tasks: Sequence[Task]) -> list[Figure]:
    """Plot the main metric of each task on the validation images, in its unit.

    Args:
        history: logs of each epoch.
        tasks: the tasks.
    """
    colours = task_colours_of([task.name for task in tasks])
    figures = [
        _metric_curve({"validation": history}, task, {"validation": colours[task.name]})
        for task in tasks
    ]
    return [figure for figure in figures if figure is not None]


def curves_of_runs(
    histories: Mapping[str, History], tasks: Sequence[Task], colours: Mapping[str, str]
) -> list[Figure]:
    """Plot the main metric and the training loss of each task, a line for each run.

    Args:
        histories: logs of each epoch, by the name of the run.
        tasks: the tasks.
        colours: `{name of the run: colour}`.
    """
    figures = []
    for task in tasks:
        figures.append(_metric_curve(histories, task, colours))
        title = f"{task.name}: training loss"
        figures.append(curve_of_runs(histories, f"{task.name}_loss", title, colours, "loss"))
    return [figure for figure in figures if figure is not None]


def curve_of_runs(
    histories: Mapping[str, History],
    log: str,
    title: str,
    colours: Mapping[str, str],
    y_label: str = "",
    scale: float = 1.0,
) -> Figure | None:
    """Plot a log, a line for each run that has it; `None` without a run.

    Args:
        histories: logs of each epoch, by the name of the run.
        log: name of the log.
        title: caption.
        colours: `{name of the run: colour}`.
        y_label: label of the values.
        scale: factor of the values.
    """
    lines = {name: _values(history, log) for name, history in histories.items()}
    lines = {name: [scale * v for v in values] for name, values in lines.items() if values}
    return curve(title, lines, y_label, colours) if lines else None


def _metric_curve(
    histories: Mapping[str, History], task: Task, colours: Mapping[str, str]
) -> Figure | None:
    unit = task.metric_info[task.main_metric].unit
    label = task.label_of(task.main_metric)
    return curve_of_runs(
        histories,
        f"val_{task.name}_{task.main_metric}",
        f"{task.name}: {label} of the validation images",
        colours,
        f"{label}, {unit}" if unit else label,
        100.0 if unit == "%" else 1.0,
    )


def loss_curves(history: History, tasks: Sequence[Task]) -> list[Figure]:
    """Plot the loss of each task on the training and the validation images.

    Args:
        history: logs of each epoch.
        tasks: the tasks.
    """
    colours, figures = task_colours_of([task.name for task in tasks]), []
    for task in tasks:
        logs = {"training": f"{task.name}_loss", "validation": f"val_{task.name}_loss"}
        lines = _lines(history, logs)
        if lines:
            colour = dict.fromkeys(lines, colours[task.name])
            figures.append(curve(f"{task.name}: loss", lines, "loss", colour))
    return figures


def balancing_curves(history: History, tasks: Sequence[str]) -> list[Figure]:
    """Plot the logs of a balancing method: weights, gradient norms, cosines, conflicts.

    Args:
        history: logs of each epoch.
        tasks: names of the tasks.
    """
    colours = task_colours_of(tasks)
    names = history[0] if history else ()
    cosines = {n.removesuffix("_cosine"): n for n in names if n.endswith("_cosine")}
    weights = {task: f"{task}_weight" for task in tasks}
    norms = {task: f"{task}_gradient_norm" for task in tasks}
    plots = (
        ("Weight of each task's loss or gradient", weights, True),
        ("Norm of each task's gradient", norms, True),
        ("Cosine between the gradients of two tasks", cosines, False),
        ("Share of task pairs in conflict", {"conflicts": "conflicts"}, False),
        ("Learning rate", {"learning rate": "learning_rate"}, False),
    )
    figures = []
    for title, logs, log in plots:
        lines = _lines(history, logs)
        if lines:
            of_tasks = {name: colours[name] for name in lines if name in colours}
            figures.append(curve(title, lines, "", of_tasks, log=log))
    return figures


def _lines(history: History, logs: Mapping[str, str]) -> dict[str, list[float]]:
    """Return the values of logs `{name: log}`, without those that are missing."""
    lines = {name: _values(history, log) for name, log in logs.items()}
    return {name: values for name, values in lines.items() if values}


def _values(history: History, log: str) -> list[float]:
    """Return the values of a log, NaN where an epoch lacks it; nothing if the first one does."""
    if not history or log not in history[0]:
        return []
    return [epoch.get(log, float("nan")) for epoch in history]
