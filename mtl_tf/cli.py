"""The command line `mtl-tf`: train, evaluate, predict, data, doctor. The only argument parser."""

import argparse
import json
import pathlib
import sys
from typing import Any


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; a wrong input is told on standard error, with exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError) as error:
        print(f"mtl-tf: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from mtl_tf.experiments.config import PRESETS, Config

    parser = argparse.ArgumentParser(
        prog="mtl-tf", description="Multi-task learning for dense prediction."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train, evaluate and report into a folder")
    train.add_argument("--preset", choices=sorted(PRESETS), help="a named configuration")
    train.add_argument("--config", type=pathlib.Path, help="a JSON file of options")
    train.add_argument("--out", type=pathlib.Path, help="folder of the run (default: runs/NAME)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument("--tensorboard", action="store_true", help="write TensorBoard logs")
    train.add_argument("--quiet", action="store_true", help="one line per epoch")
    for name, field in Config.model_fields.items():
        default = (
            ""
            if field.is_required()
            else f" (default: {field.get_default(call_default_factory=True)})"
        )
        train.add_argument(
            f"--{name.replace('_', '-')}", dest=f"option_{name}", metavar="VALUE",
            help=_help_of(name) + default,
        )  # fmt: skip
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("evaluate", help="judge the model of a run again")
    evaluate.add_argument("run", type=pathlib.Path, help="folder of a run")
    evaluate.add_argument("--root", type=pathlib.Path, help="the data's folder, if it has moved")
    evaluate.set_defaults(command=_evaluate)

    predict = commands.add_parser("predict", help="write coloured maps of photographs")
    predict.add_argument("photos", type=pathlib.Path, nargs="+", help="image files")
    predict.add_argument("--model", type=pathlib.Path, required=True, help="model.keras of a run")
    predict.add_argument("--out", type=pathlib.Path, help="folder (default: beside each photo)")
    predict.set_defaults(command=_predict)

    data = commands.add_parser("data", help="look at data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the data sets this library reads")
    listed.set_defaults(command=_data_list)
    check = actions.add_parser("check", help="read a whole data set and show a contact sheet")
    check.add_argument("root", type=pathlib.Path, help="folder of the data set")
    check.add_argument("--data", default="nyud", choices=["nyud"], help="which data set it is")
    check.add_argument("--num-classes", type=int, default=13, help="semantic classes")
    check.add_argument("--sheet", type=pathlib.Path, default=pathlib.Path("contact_sheet.png"))
    check.set_defaults(command=_data_check)

    doctor = commands.add_parser("doctor", help="versions, devices and native ops")
    doctor.set_defaults(command=_doctor)
    return parser


def _help_of(name: str) -> str:
    """The line that documents an option in the docstring of `Config`."""
    from mtl_tf.experiments.config import Config

    for line in (Config.__doc__ or "").splitlines():
        if line.strip().startswith(f"{name}:"):
            return line.split(":", 1)[1].strip().rstrip(".").replace("%", "%%")
    return ""


def _option(text: str) -> Any:
    """A value of the command line: JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _train(options: argparse.Namespace) -> int:
    from mtl_tf.experiments import make_config, run

    values: dict[str, Any] = {}
    if options.config is not None:
        try:
            values = json.loads(options.config.read_text())
        except ValueError as error:
            raise ValueError(f"{options.config} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{options.config} must hold an object of options")
    preset = options.preset or values.pop("preset", None)
    for key, text in vars(options).items():
        if key.startswith("option_") and text is not None:
            name = key.removeprefix("option_")
            is_list = name in ("tasks", "zoom") and not text.startswith("[")
            values[name] = text.split(",") if is_list else _option(text)
    config = make_config(preset, **values)
    out = options.out or pathlib.Path("runs") / (preset or config.data)
    summary = run(
        config, out, resume=options.resume, tensorboard=options.tensorboard,
        verbose=2 if options.quiet else "auto",
    )  # fmt: skip
    print((out / "report.md").read_text())
    minutes = summary["environment"]["training_s"] / 60
    print(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    import keras

    from mtl_tf import evaluation
    from mtl_tf.experiments.config import read_config
    from mtl_tf.experiments.run import load_data

    config = read_config(options.run / "config.json")
    if options.root is not None:
        config = config.model_copy(update={"root": options.root})
    dataset = load_data(config)
    path = options.run / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run has not finished training")
    model = keras.saving.load_model(path)
    print(json.dumps(evaluation.evaluate(model, dataset.test(), dataset.tasks), indent=2))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.predict import predict_photo

    stems = [photo.stem for photo in options.photos]
    if options.out is not None and len(set(stems)) < len(stems):
        raise ValueError(f"photos must have different names to share {options.out}")
    for photo in options.photos:
        for path in predict_photo(options.model, photo, options.out):
            print(path)
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from mtl_tf import data

    for name, row in data.TABLE.items():
        print(f"{name:16} {', '.join(row.tasks)} ({row.source})")
    return 0


def _data_check(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.check import check_data

    problems = check_data(options.root, options.num_classes, options.sheet)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _doctor(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.doctor import diagnosis

    for name, value in diagnosis().items():
        print(f"{name:22} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
