"""`mtl-tf export`: write a network for other programs and compare it with Keras."""

import argparse
import pathlib
from typing import Any

from mtl_tf.cli.flags import Subparsers, add_json
from mtl_tf.cli.json_output import say_json
from mtl_tf.cli.tensorflow_log import native_lines_hidden
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
        choices=["savedmodel", "onnx", "litert", "preset"],
        help="savedmodel, onnx, litert or preset: a folder with the network in half precision, "
        "which takes RGB 0 to 255, and its model card (default: by suffix: none, .onnx, .tflite)",
    )
    parser.add_argument(
        "--with-preprocessing", action="store_true", help="take RGB 0 to 255, not normalised images"
    )
    parser.add_argument(
        "--with-postprocessing",
        action="store_true",
        help="return class ids, metres, probabilities and unit vectors, not raw predictions",
    )
    parser.add_argument(
        "--precision",
        choices=["float32", "float16", "int8"],
        default="float32",
        help="of weights and computation (default: float32); int8 needs --calibrate",
    )
    paths: dict[str, Any] = {"type": pathlib.Path, "nargs": "*", "default": [], "metavar": "PATH"}
    parser.add_argument(
        "--calibrate", help="images, and folders of them, that define the ranges of int8", **paths
    )
    parser.add_argument("--batch", type=int, help="number of images (default: any)")
    parser.add_argument("--height", type=int, help="of the images (default: as trained)")
    parser.add_argument("--width", type=int, help="of the images (default: as trained)")
    parser.add_argument(
        "--any-size", action="store_true", help="scale images of any size inside the file"
    )
    parser.add_argument("--tasks", help="custom tasks of the model, separated by commas; see train")
    parser.add_argument("--photos", help="to compare on, images and folders", **paths)
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Write the model in another format and print its differences to Keras."""
    from mtl_tf.cli.own_tasks import custom_tasks
    from mtl_tf.deployment import export_model, export_preset

    if options.format == "preset":
        _check_preset(options)
        differences = export_preset(options.model, options.out, options.photos)
    else:
        tasks = custom_tasks(options.tasks)
        with native_lines_hidden(options.verbose):
            differences = export_model(
                options.model,
                options.out,
                options.format,
                options.with_preprocessing,
                options.photos,
                with_postprocessing=options.with_postprocessing,
                precision=options.precision,
                calibration=options.calibrate,
                batch=options.batch,
                height=options.height,
                width=options.width,
                any_size=options.any_size,
                tasks=tasks,
            )
    if options.json:
        say_json({"file": str(options.out), "differences": differences})
        return 0
    for task, difference in differences.items():
        say(f"{task:20} {difference.text}")
    say(options.out)
    return 0


def _check_preset(options: argparse.Namespace) -> None:
    """Raise `ValueError` for an option that a preset does not have."""
    flags = ("with_preprocessing", "with_postprocessing", "calibrate", "any_size", "tasks")
    given = [name for name in (*flags, "batch", "height", "width") if getattr(options, name)]
    given += ["precision"] * (options.precision != "float32")
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(
            f"{names}: no option of --format preset, which holds weights in half precision for RGB "
            "images as they are"
        )
