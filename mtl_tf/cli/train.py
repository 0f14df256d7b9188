"""`mtl-tf train`: train, evaluate and report into a folder."""

import argparse
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl_tf import experiments
from mtl_tf.cli.options import Subparsers, add_config_options, config_from
from mtl_tf.evaluation.reporting.tables import formatted
from mtl_tf.experiments import PRESETS
from mtl_tf.experiments.from_config import load_tasks
from mtl_tf.experiments.terminal import printable, say
from mtl_tf.tasks import Task


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("train", help="train, evaluate and report into a folder")
    parser.add_argument(
        "--preset", choices=list(PRESETS), metavar="NAME", help=f"one of {', '.join(PRESETS)}"
    )
    parser.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the run (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--baseline",
        type=pathlib.Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="finished single-task runs, that the Delta-m of the best epoch is relative to",
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard logs")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the results")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object for each epoch, and one for the results"
    )
    add_config_options(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Train, evaluate, report, and print the table."""
    preset, config = config_from(options)
    name = config.data.rpartition(":")[2]
    out = options.out or pathlib.Path("runs") / (preset or name)
    summary = experiments.run(
        config,
        out,
        resume=options.resume,
        tensorboard=options.tensorboard,
        progress=_progress(options),
        baseline=options.baseline,
    )
    if options.json:
        say(json.dumps({"results": summary["results"], "folder": str(out)}))
        return 0
    Console(soft_wrap=True).print(_table(summary, load_tasks(config)))
    minutes = summary["environment"]["training_s"] / 60
    say(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0


def _progress(options: argparse.Namespace) -> experiments.Silent:
    if options.json:
        return experiments.JsonLines()
    return experiments.Silent() if options.quiet else experiments.Rows()


def _table(summary: dict[str, Any], tasks: Mapping[str, Task]) -> Table:
    """Return the main metric of each task, beside the trivial baseline."""
    table = Table("task", "metric", box=box.SIMPLE_HEAD)
    for title in ("model", "trivial baseline"):
        table.add_column(title, justify="right")
    for name, metrics in summary["results"].items():
        metric, task = tasks[name].main_metric, tasks[name]
        arrow = "↑" if task.higher_is_better else "↓"
        values = (metrics[metric], summary["baseline"][name][metric])
        texts = [formatted(metric, value, task) for value in values]
        is_better = (values[0] - values[1]) * (1 if task.higher_is_better else -1) > 0
        table.add_row(
            Text(printable(name)),
            f"{metric} {arrow}",
            Text(texts[0], "bold green" if is_better else "bold"),
            texts[1],
        )
    return table
