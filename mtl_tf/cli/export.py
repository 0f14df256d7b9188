"""`mtl-tf export`: write a model for other programs and check it."""

import argparse
import pathlib

from mtl_tf.cli.options import Subparsers
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("export", help="write a model for other programs and check it")
    parser.add_argument(
        "model", type=pathlib.Path, help="folder of a run or preset, its name, or its model.keras"
    )
    parser.add_argument("out", type=pathlib.Path, help="file (savedmodel, preset: folder) to write")
    parser.add_argument(
        "--format",
        help="savedmodel, onnx, litert or preset: a folder with the network in half precision, "
        "which takes RGB 0 to 255, and its model card (default: by suffix: none, .onnx, .tflite)",
    )
    parser.add_argument(
        "--with-preprocessing", action="store_true", help="take RGB 0 to 255, not normalised images"
    )
    parser.add_argument("--photos", type=pathlib.Path, nargs="*", default=[], help="to check on")
    return parser


def run(options: argparse.Namespace) -> int:
    """Write the model in another format and print the largest differences."""
    from mtl_tf.deployment import export_model, export_preset, load_network
    from mtl_tf.deployment.presets import model_file

    if options.format == "preset":
        differences = export_preset(options.model, options.out, options.photos)
    else:
        differences = export_model(
            load_network(options.model if options.model.exists() else model_file(options.model)),
            options.out,
            options.format,
            options.with_preprocessing,
            options.photos,
        )
    for task, difference in differences.items():
        say(f"{task:20} differs from Keras by {difference:.2g} at most")
    say(options.out)
    return 0
