"""`mtl-tf predict`: write coloured maps of photographs and videos."""

import argparse
import pathlib

from mtl_tf.cli.flags import Subparsers, add_json, split_list
from mtl_tf.cli.json_output import say_json
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
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("predictions"), help="folder to write to"
    )
    parser.add_argument("--raw", action="store_true", help="write the numbers too, as .npy files")
    parser.add_argument("--overlay", action="store_true", help="draw the maps on the image")
    parser.add_argument("--panel", action="store_true", help="one picture for all tasks")
    parser.add_argument(
        "--depth-range", default="auto", metavar="auto|A,B", help="metres of the colours"
    )
    parser.add_argument(
        "--fit",
        choices=["letterbox", "stretch", "tiles"],
        default="letterbox",
        help="images of another size: keep the aspect, stretch, or predict in overlapping tiles",
    )
    parser.add_argument("--tasks", help="custom tasks of the model, separated by commas; see train")
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Write coloured maps and print their paths."""
    from mtl_tf.cli.own_tasks import custom_tasks
    from mtl_tf.deployment.predict import Output, Predictor, photographs, predict_all

    for photo in options.photos:
        if not photo.exists():
            raise FileNotFoundError(f"{photo} is missing")
    scale = _depth_range(options.depth_range)
    output = Output(options.out, options.raw, options.overlay, options.panel, scale)
    predictor = Predictor(options.model, custom_tasks(options.tasks), fit=options.fit)
    files = photographs(options.photos, predictor.model.output, options.out)
    written = []
    try:
        for path in predict_all(predictor, files, output):
            written.append(str(path))
            if not options.json:
                say(shown(path))
    finally:
        if options.json:  # also of damaged photographs, whose error follows
            say_json({"images": len(files), "files": written})
    return 0


def _depth_range(text: str) -> tuple[float, float] | None:
    if text == "auto":
        return None
    try:
        near, far = map(float, split_list(text))
    except ValueError:
        near = far = 0.0
    if not 0 <= near < far < float("inf"):
        raise ValueError(
            f"--depth-range must be auto, or two numbers of metres such as 0.5,8. Received: {text}"
        )
    return near, far
