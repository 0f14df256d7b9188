"""`mtl-tf tune`: search learning rate and loss weights."""

import argparse
import pathlib

from mtl_tf.cli.flags import Subparsers, add_config_options_later, add_limits, split_list
from mtl_tf.experiments.presets import PRESETS
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("tune", help="search learning rate and loss weights")
    parser.add_argument("--preset", choices=list(PRESETS), metavar="NAME", help="see train")
    parser.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the study")
    parser.add_argument("--trials", type=int, default=20, help="finished trials in the study")
    parser.add_argument(
        "--search",
        default="learning_rate,loss_weights",
        help="options, separated by commas (default: both, learning_rate,loss_weights)",
    )
    parser.add_argument(
        "--baseline", type=pathlib.Path, nargs="*", default=[], metavar="RUN", help="see train"
    )
    add_limits(parser, "trial")
    add_config_options_later(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Search and print the trials."""
    from mtl_tf import surveys
    from mtl_tf.cli.options import config_from

    _, config = config_from(options)
    surveys.tune(
        config,
        options.out,
        options.trials,
        split_list(options.search),
        options.baseline,
        60 * options.time_limit_min,
        options.memory_limit_mib,
    )
    say((options.out / "trials.md").read_text())
    say(f"Train with the best: mtl-tf train --config {options.out / 'best.json'}")
    return 0
