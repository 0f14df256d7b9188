"""`mtl-tf predict`: write coloured maps of photographs and videos."""

import argparse
import pathlib
from typing import Any

from mtl_tf.cli.options import Subparsers, split_list
from mtl_tf.experiments.terminal import say
from mtl_tf.text import shown


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("predict", help="write coloured maps of photographs and videos")
    parser.add_argument("photos", type=pathlib.Path, nargs="+", help="images, folders, videos")
    parser.add_argument(
        "--model",
        type=pathlib.Path,
        required=True,
        help="folder of a run or preset, its name, or its model.keras",
    )
    parser.add_argument("--out", type=pathlib.Path, help="folder (default: beside each photo)")
    parser.add_argument("--side-by-side", action="store_true", help="one picture for all tasks")
    parser.add_argument("--tasks", help="custom tasks of the model, separated by commas; see train")
    return parser


def run(options: argparse.Namespace) -> int:
    """Write coloured maps and print their paths."""
    from mtl_tf.deployment.predict import Predictor, photographs, predict_all
    from mtl_tf.experiments import plugins
    from mtl_tf.tasks import TASKS

    for photo in options.photos:
        if not photo.exists():
            raise FileNotFoundError(f"{photo} is missing")
    arguments: dict[str, Any] = {}
    custom = [text for text in split_list(options.tasks or "") if text and text not in TASKS]
    if custom:  # the others are known, with the channels of the model
        arguments["tasks"] = list(plugins.load_tasks(custom).values())
    predictor = Predictor(options.model, **arguments)
    files = photographs(options.photos, predictor.model.output, options.out)
    for path in predict_all(predictor, files, options.out, options.side_by_side):
        say(shown(path))
    return 0
