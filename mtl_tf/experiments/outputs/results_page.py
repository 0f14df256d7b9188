"""Results of runs as Markdown, for the docs.

python -m mtl_tf.experiments.outputs.results_page RUN > docs/results/NAME.json    # what is stored
python -m mtl_tf.experiments.outputs.results_page docs/results/NAME.json          # as Markdown
"""

import json
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from mtl_tf.atomic_files import read_json, read_summary
from mtl_tf.evaluation.reporting.tables import formatted, markdown_table
from mtl_tf.experiments.config import make_config
from mtl_tf.experiments.outputs.card import command_of, metric_rows
from mtl_tf.tasks import Task, as_tasks
from mtl_tf.typing import Results

_STORED = ("results", "baseline", "kept", "history", "config", "environment")
_PER_EPOCH = ("epoch_s", "step_ms")
_LOCAL = ("source", "native_ops")  # paths on the machine


def stored_results(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a run's `results.json` that the docs keep, without folders.

    Args:
        summary: the content of `results.json`.

    Returns:
        A smaller dictionary of the same form.
    """
    stored = {name: summary[name] for name in _STORED}
    stored["config"] = make_config(**summary["config"]).identity()
    stored["environment"] = {k: v for k, v in summary["environment"].items() if k not in _LOCAL}
    stored["history"] = [
        {k: round(v, 5) for k, v in epoch.items() if k.startswith("val_") or k in _PER_EPOCH}
        for epoch in summary["history"]
    ]
    return stored


def results_page(path: pathlib.Path) -> str:
    """Return a run as Markdown: the command, its time, its metrics, and a row for each epoch.

    Args:
        path: of a file with `stored_results`.

    Raises:
        ValueError: if the file is damaged.
    """
    stored = read_json(path, "the stored results of a run")
    root = {"root": "FOLDER"} if stored["config"].get("data") != "rendered_rooms" else {}
    config = make_config(**{**stored["config"], **root})
    environment, results = stored["environment"], stored["results"]
    tasks = as_tasks([task for task in config.tasks if task in results])
    rows = metric_rows(tasks, results, stored["baseline"])
    minutes = environment["training_s"] / 60
    parts = [
        f"```\n{command_of(config)}\n```",
        f"{environment['parameters'] / 1e6:.2f} M parameters, "
        f"{environment['multiply_adds'] / 1e9:.2f} billion multiply-adds. Trained in "
        f"{minutes:.1f} minutes ({environment['step_ms']:.0f} ms a step) on "
        f"{environment['processors']} processors.",
        markdown_table(("task", "metric", "model", "trivial baseline"), rows, 2),
        _epochs(stored["history"], tasks),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def presets_table(paths: Iterable[pathlib.Path]) -> str:
    """Return stored runs as a Markdown table: size, time, and the main metric of each task.

    Args:
        paths: of files with `stored_results` of runs with the same tasks.
    """
    header: list[str] = []
    rows: list[list[str]] = []
    baseline: list[str] = []
    for path in paths:
        stored = read_json(path, "the stored results of a run")
        environment, results = stored["environment"], stored["results"]
        tasks = as_tasks(list(results))
        header = [
            "preset",
            "parameters",
            "training",
            *(f"{task.name} {task.label_of(task.main_metric)}" for task in tasks),
        ]
        if not rows:
            baseline = _main_metrics(tasks, stored["baseline"])
        rows.append(
            [
                f"`{path.stem}`",
                f"{environment['parameters'] / 1e6:.1f} M",
                f"{environment['training_s'] / 60:.0f} minutes",
                *_main_metrics(tasks, results),
            ]
        )
    return markdown_table(header, [*rows, ["trivial baseline", "", "", *baseline]], 1)


def _main_metrics(tasks: Iterable[Task], results: Results) -> list[str]:
    return [formatted(t.main_metric, results[t.name][t.main_metric], t) for t in tasks]


def _epochs(history: list[dict[str, float]], tasks: tuple[Task, ...]) -> str:
    """Return the validation metrics of each epoch, at the size of the input, as a table."""
    columns = [
        (task, metric)
        for task in tasks
        for metric in task.metric_info
        if f"val_{task.name}_{metric}" in history[0]
    ]
    header = ["epoch", "seconds", *(f"{task.name} {metric}" for task, metric in columns)]
    rows = [
        [
            str(number),
            f"{epoch['epoch_s']:.0f}",
            *(formatted(m, epoch[f"val_{t.name}_{m}"], t) for t, m in columns),
        ]
        for number, epoch in enumerate(history, start=1)
    ]
    return "Validation at the size of the input, by epoch:\n\n" + markdown_table(header, rows, 0)


def main(path: pathlib.Path) -> str:
    """Return what is stored of the folder of a run, or the Markdown of a stored file.

    Args:
        path: of the folder or the file.
    """
    if path.is_dir():
        return json.dumps(stored_results(read_summary(path)), indent=1) + "\n"
    return results_page(path)


if __name__ == "__main__":
    sys.stdout.write(main(pathlib.Path(sys.argv[1])))
