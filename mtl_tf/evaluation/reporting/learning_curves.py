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
    colours, figures = task_colours_of([task.name for task in tasks]), []
    for task in tasks:
        info = task.metric_info[task.main_metric]
        percent = 100.0 if info.unit == "%" else 1.0
        values = _values(history, f"val_{task.name}_{task.main_metric}")
        if not values:
            continue
        label = task.label_of(task.main_metric)
        lines = {"validation": [percent * value for value in values]}
        y_label = f"{label}, {info.unit}" if info.unit else label
        title = f"{task.name}: {label} of the validation images"
        colour = dict.fromkeys(lines, colours[task.name])
        figures.append(curve(title, lines, y_label, colour))
    return figures


def loss_curves(history: History, tasks: Sequence[Task]) -> list[Figure]:
    """Plot the loss of each task on the training and the validation images.

    Args:
        history: logs of each epoch.
        tasks: the tasks.
    """
    colours, figures = task_colours_of([task.name for task in tasks]), []
    for task in tasks:
        logs = {"training": f"{task.name}_loss", "validation": f"val_{task.name}_loss"}
        lines = {name: _values(history, log) for name, log in logs.items()}
        lines = {name: values for name, values in lines.items() if values}
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
        lines = {name: _values(history, key) for name, key in logs.items()}
        lines = {name: values for name, values in lines.items() if values}
        if lines:
            of_tasks = {name: colours[name] for name in lines if name in colours}
            figures.append(curve(title, lines, "", of_tasks, log=log))
    return figures


def _values(history: History, log: str) -> list[float]:
    """Return the values of a log, NaN where an epoch lacks it; nothing if the first one does."""
    if not history or log not in history[0]:
        return []
    return [epoch.get(log, float("nan")) for epoch in history]
