"""`mtl-tf train`: train, evaluate and report into a folder."""

import argparse
import pathlib

from mtl_tf import experiments
from mtl_tf.cli.options import Subparsers, add_config_options, config_from
from mtl_tf.experiments import PRESETS
from mtl_tf.experiments.terminal import say


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
    parser.add_argument("--quiet", action="store_true", help="one line per epoch")
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
        verbose=2 if options.quiet else "auto",
        baseline=options.baseline,
    )
    say((out / "report.md").read_text())
    minutes = summary["environment"]["training_s"] / 60
    say(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0
