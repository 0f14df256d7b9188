"""The command line `mtl-tf`: what users type. The only argument parser."""

import argparse
import pathlib
import re
import sys
from typing import Any

from mtl_tf.experiments.terminal import printable, printable_warnings, say


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0; 1 if data are damaged; 2 for invalid input, with an error on standard error; 130 after
        Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    from mtl_tf.data import DataError

    try:
        with printable_warnings():
            return options.command(options)
    except (TypeError, ValueError, OSError, ImportError, RuntimeError) as error:
        text = str(error) or type(error).__name__
        say(f"mtl-tf: {text}", error=True)
        return 1 if isinstance(error, DataError) else 2
    except KeyboardInterrupt:
        print("mtl-tf: stopped. A run goes on with --resume", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Tells errors in letters that do not steer the terminal: they repeat what was typed."""

    def error(self, message: str) -> Any:
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    from mtl_tf.cli import commands
    from mtl_tf.experiments.presets import PRESETS
    from mtl_tf.surveys.grid import SURVEYS
    from mtl_tf.surveys.tune import SEARCHED

    parser = _Parser(prog="mtl-tf", description="Multi-task learning for dense prediction.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    train = subparsers.add_parser("train", help="train, evaluate and report into a folder")
    train.add_argument(
        "--preset", choices=list(PRESETS), metavar="NAME", help=f"one of {', '.join(PRESETS)}"
    )  # fmt: skip
    train.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    train.add_argument("--out", type=pathlib.Path, help="folder of the run (default: runs/NAME)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument(
        "--baseline", type=pathlib.Path, nargs="*", default=[], metavar="RUN",
        help="finished single-task runs, that the Delta-m of the best epoch is relative to",
    )  # fmt: skip
    train.add_argument("--tensorboard", action="store_true", help="write TensorBoard logs")
    train.add_argument("--quiet", action="store_true", help="one line per epoch")
    _add_options(train)
    train.set_defaults(command=commands.train)

    survey = subparsers.add_parser("survey", help="train a grid of cells and write their table")
    survey.add_argument("--preset", choices=list(SURVEYS), help="a named survey")
    survey.add_argument("--architectures", help="names, separated by commas")
    survey.add_argument("--balancings", help="names, separated by commas (default: fixed_weights)")
    survey.add_argument("--seeds", default="0", help="numbers, separated by commas")
    survey.add_argument("--data", help="data set, if not that of the preset")
    survey.add_argument("--root", type=pathlib.Path, help="folder of the data set")
    survey.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    survey.add_argument("--out", type=pathlib.Path, required=True, help="folder of the survey")
    survey.add_argument("--workers", type=int, default=1, help="cells at the same time")
    _add_limits(survey, "cell")
    survey.set_defaults(command=commands.survey)

    tune = subparsers.add_parser("tune", help="search learning rate and loss weights")
    tune.add_argument("--preset", choices=list(PRESETS), metavar="NAME", help="see train")
    tune.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    tune.add_argument("--out", type=pathlib.Path, required=True, help="folder of the study")
    tune.add_argument("--trials", type=int, default=20, help="finished trials in the study")
    tune.add_argument("--search", default=",".join(SEARCHED), help="what, separated by commas")
    tune.add_argument(
        "--baseline", type=pathlib.Path, nargs="*", default=[], metavar="RUN", help="see train"
    )
    _add_limits(tune, "trial")
    _add_options(tune)
    tune.set_defaults(command=commands.tune)

    evaluate = subparsers.add_parser("evaluate", help="judge the model of a run again")
    evaluate.add_argument("run", type=pathlib.Path, help="folder of a run")
    evaluate.add_argument("--root", type=pathlib.Path, help="the data's folder, if it has moved")
    evaluate.add_argument(
        "--edge-tolerance", type=float, metavar="SHARE",
        help="judge edges by the boundary benchmark too: largest distance of matched pixels as a "
        "share of the image diagonal (NYUD 0.011, others 0.0075)",
    )  # fmt: skip
    evaluate.add_argument("--workers", type=int, default=2, help="processes of that benchmark")
    evaluate.set_defaults(command=commands.evaluate)

    compare = subparsers.add_parser("compare", help="two runs on the same images, with intervals")
    compare.add_argument("first", type=pathlib.Path, help="folder of a run, or its images.npz")
    compare.add_argument("second", type=pathlib.Path, help="folder of a run, or its images.npz")
    compare.add_argument("--resamples", type=int, default=1000, help="draws of the bootstrap")
    compare.set_defaults(command=commands.compare)

    predict = subparsers.add_parser("predict", help="write coloured maps of photographs and videos")
    predict.add_argument("photos", type=pathlib.Path, nargs="+", help="images, folders, videos")
    predict.add_argument("--model", type=pathlib.Path, required=True, help="model.keras of a run")
    predict.add_argument("--out", type=pathlib.Path, help="folder (default: beside each photo)")
    predict.add_argument("--side-by-side", action="store_true", help="one picture for all tasks")
    predict.set_defaults(command=commands.predict)

    export = subparsers.add_parser("export", help="write a model for other programs and check it")
    export.add_argument("model", type=pathlib.Path, help="model.keras of a run")
    export.add_argument("out", type=pathlib.Path, help="file (savedmodel: folder) to write")
    export.add_argument(
        "--format", help="savedmodel, onnx or litert (default: by suffix: none, .onnx, .tflite)"
    )
    export.add_argument(
        "--with-preprocessing", action="store_true", help="take RGB 0 to 255, not normalised images"
    )
    export.add_argument("--photos", type=pathlib.Path, nargs="*", default=[], help="to check on")
    export.set_defaults(command=commands.export)

    data = subparsers.add_parser("data", help="look at data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the data sets this library reads")
    listed.set_defaults(command=commands.data_list)
    check = actions.add_parser("check", help="read a whole data set and show a contact sheet")
    check.add_argument("root", type=pathlib.Path, help="folder of the data set")
    check.add_argument("--data", default="nyud", help="which data set it is: see `data list`")
    check.add_argument("--num-classes", type=int, default=13, help="semantic classes")
    check.add_argument("--sheet", type=pathlib.Path, default=pathlib.Path("contact_sheet.png"))
    check.set_defaults(command=commands.data_check)

    pack = actions.add_parser("pack", help="write a data set as TFRecord files")
    pack.add_argument("root", type=pathlib.Path, help="folder of the data set")
    pack.add_argument("out", help="folder to write, or a gs://, s3://, ... path")
    pack.add_argument("--data", default="nyud", help="which data set it is: see `data list`")
    pack.add_argument("--num-classes", type=int, default=40, help="semantic classes")
    pack.add_argument("--shard-mib", type=int, default=128, help="size of a file, MiB")
    pack.set_defaults(command=commands.data_pack)
    unpack = actions.add_parser("unpack", help="write a packed data set as plain files")
    unpack.add_argument("packed", help="folder that `data pack` wrote")
    unpack.add_argument("out", type=pathlib.Path, help="folder to write")
    unpack.set_defaults(command=commands.data_unpack)

    doctor = subparsers.add_parser("doctor", help="versions, devices and native ops")
    doctor.set_defaults(command=commands.doctor)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    """An argument for every option of `Config`."""
    from mtl_tf.experiments.config import Config

    for name, field in Config.model_fields.items():
        default = (
            ""
            if field.is_required()
            else f" (default: {field.get_default(call_default_factory=True)})"
        )
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=f"option_{name}", metavar="VALUE",
            help=_help_of(name) + default,
        )  # fmt: skip


def _add_limits(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--time-limit-min", type=float, default=360, help=f"of one {what}")
    parser.add_argument("--memory-limit-mib", type=float, default=16_384, help=f"of one {what}")


def _help_of(name: str) -> str:
    """Return the documentation of an option from the docstring of `Config`."""
    from mtl_tf.experiments.config import Config

    text = re.search(rf"^ +{name}: (.*?)(?=\n +\w+: |\Z)", Config.__doc__ or "", re.M | re.S)
    return " ".join(text[1].split()).rstrip(".").replace("%", "%%") if text else ""
