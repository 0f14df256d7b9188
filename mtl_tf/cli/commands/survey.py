"""`mtl-tf survey`: train a grid of cells and write their table."""

import argparse
import pathlib

from mtl_tf.cli.flags import Subparsers, add_limits, split_list
from mtl_tf.experiments.presets import SURVEYS
from mtl_tf.experiments.terminal import say
from mtl_tf.text import shown


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("survey", help="train a grid of cells and write their table")
    parser.add_argument("--preset", choices=list(SURVEYS), help="a named survey")
    parser.add_argument("--architectures", help="names, separated by commas")
    parser.add_argument("--balancings", help="names, separated by commas (default: fixed_weights)")
    parser.add_argument("--seeds", default="0", help="numbers, separated by commas")
    parser.add_argument("--data", help="data set, if not that of the preset; see train")
    parser.add_argument("--root", type=pathlib.Path, help="folder of the data set")
    parser.add_argument("--tasks", help="tasks, separated by commas; see train")
    parser.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the survey")
    parser.add_argument("--workers", type=int, default=1, help="cells at the same time")
    add_limits(parser, "cell")
    return parser


def run(options: argparse.Namespace) -> int:
    """Train a grid and print its table; return 1 if a cell failed."""
    from mtl_tf import surveys
    from mtl_tf.cli.options import read_options

    preset = SURVEYS.get(options.preset, {"base": {}, "rows": []})
    always = read_options(options.config)
    for name in ("data", "root", "tasks"):
        value = getattr(options, name)
        if value is not None:
            always[name] = split_list(value) if name == "tasks" else value
    rows = preset["rows"]
    if options.balancings and not options.architectures:
        raise ValueError("--balancings needs --architectures: the rows are all pairs of the two")
    if options.architectures:
        methods = split_list(options.balancings or "fixed_weights")
        rows = [(name, method) for name in split_list(options.architectures) for method in methods]
    try:
        seeds = [int(seed) for seed in split_list(options.seeds)]
    except ValueError as error:
        raise ValueError(f"--seeds must hold whole numbers. Received: {options.seeds}") from error
    problems = surveys.survey(
        options.out,
        rows,
        seeds,
        preset["base"],
        preset.get("alone"),
        always,
        options.workers,
        60 * options.time_limit_min,
        options.memory_limit_mib,
    )
    if (options.out / "table.md").is_file():
        say((options.out / "table.md").read_text())
        say(shown(options.out / "report.html"))
    return 1 if problems else 0
