"""`mtl-tf compare`: two runs on the same images, with intervals."""

import argparse
import dataclasses
import pathlib

from mtl_tf.cli.flags import Subparsers, add_json, split_list
from mtl_tf.cli.json_output import say_json
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("compare", help="two runs on the same images, with intervals")
    parser.add_argument("first", type=pathlib.Path, help="folder of a run, or its images.npz")
    parser.add_argument("second", type=pathlib.Path, help="folder of a run, or its images.npz")
    parser.add_argument("--resamples", type=int, default=1000, help="draws of the bootstrap")
    parser.add_argument(
        "--tasks", help="custom tasks with custom metric classes, separated by commas; see train"
    )
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the differences between two runs on the same images."""
    from mtl_tf.evaluation import ImageStates, comparison
    from mtl_tf.experiments import plugins

    if options.tasks:
        plugins.load_tasks(split_list(options.tasks))  # imports the classes of their metrics
    first, second = (ImageStates.load(path) for path in (options.first, options.second))
    differences = comparison.compare(first, second, options.resamples)
    if options.json:
        rows = [{**dataclasses.asdict(row), "verdict": row.verdict} for row in differences]
        say_json({"images": len(first), "differences": rows})
    else:
        say(comparison.as_text(differences, len(first)))
    return 0
