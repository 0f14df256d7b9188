"""Sections of the model card of a run: data, metrics, speed, how to train it again."""

import json
import pathlib
import shlex
from collections.abc import Iterable
from typing import Any

from mtl_tf import weights
from mtl_tf.evaluation.reporting.tables import formatted, in_markdown, markdown_table
from mtl_tf.experiments.config import Config, without_folder
from mtl_tf.tasks import Task, TasksLike, as_tasks
from mtl_tf.typing import Results


def card_of_run(summary: dict[str, Any], tasks: TasksLike) -> dict[str, str]:
    """Return the sections `{heading: Markdown}` that only a run can tell.

    Args:
        summary: the content of its `results.json`.
        tasks: the tasks of its data set.
    """
    config = Config(**summary["config"])
    environment = summary["environment"]
    return {
        "Data": (
            f"Trained on `{without_folder(config.data)}` (fingerprint "
            f"`{environment['data']}`). The terms of that data set hold for the use of these "
            "weights too" + (_weights(config) if config.weights else ".")
        ),
        "Metrics": markdown_table(
            ("task", "metric", "test images"), metric_rows(as_tasks(tasks), summary["results"]), 2
        ),
        "Training": (
            f"{config.epochs} epoch{'s' * (config.epochs > 1)} in "
            f"{environment['training_s'] / 60:.0f} minutes on {environment['processors']} "
            f"processors, mtl_tf {environment['mtl_tf']}, Keras {environment['keras']}; "
            f"the weights of epoch {summary['kept']['epoch']} are kept. "
            f"Again:\n\n```bash\n{command_of(config)}\n```"
        ),
    }


def command_of(config: Config) -> str:
    """Return the command that trains a configuration, without the folders of this machine.

    Args:
        config: of a run.
    """
    values = config.identity()
    if config.root is not None:
        values["root"] = "FOLDER"
    words = ["mtl-tf", "train"]
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    return shlex.join(words)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def metric_rows(tasks: Iterable[Task], *results: Results) -> list[tuple[str, ...]]:
    """Return a row for each metric of the first results, the main metric of each task first.

    Args:
        tasks: the tasks.
        *results: `{task: {metric: value}}`, a column each.

    Returns:
        Rows of the task, the metric, and its values with their unit, in Markdown.
    """
    return [
        (
            task.name,
            in_markdown(metric),
            *(
                formatted(metric, column[task.name][metric], task)
                if metric in column[task.name]
                else ""
                for column in results
            ),
        )
        for task in tasks
        for metric in task.metric_info
        if metric in results[0].get(task.name, {})
    ]


def _weights(config: Config) -> str:
    row = weights.TABLE.get(config.backbone)
    if config.weights != weights.IMAGENET or row is None:
        return f"; initial weights of the backbone: `{pathlib.Path(config.weights or '').name}`."
    return f"; initial weights of the backbone: {row.source} (ImageNet, {row.licence})."
