"""The command line `mtl-tf`: what users type. The only argument parser."""

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
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"mtl-tf: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from mtl_tf.experiments.config import Config
    from mtl_tf.experiments.grid import SURVEYS
    from mtl_tf.experiments.presets import PRESETS

    parser = argparse.ArgumentParser(
        prog="mtl-tf", description="Multi-task learning for dense prediction."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train, evaluate and report into a folder")
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

    survey = commands.add_parser("survey", help="train a grid of cells and write their table")
    survey.add_argument("--preset", choices=list(SURVEYS), help="a named survey")
    survey.add_argument("--architectures", help="names, separated by commas")
    survey.add_argument("--balancings", default="fixed_weights", help="names, separated by commas")
    survey.add_argument("--seeds", default="0", help="numbers, separated by commas")
    survey.add_argument("--data", help="data set, if not that of the preset")
    survey.add_argument("--root", type=pathlib.Path, help="folder of the data set")
    survey.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    survey.add_argument("--out", type=pathlib.Path, required=True, help="folder of the survey")
    survey.add_argument("--workers", type=int, default=1, help="cells at the same time")
    survey.add_argument("--time-limit-min", type=float, default=360, help="of one cell")
    survey.add_argument("--memory-limit-mib", type=float, default=16_384, help="of one cell")
    survey.set_defaults(command=_survey)

    evaluate = commands.add_parser("evaluate", help="judge the model of a run again")
    evaluate.add_argument("run", type=pathlib.Path, help="folder of a run")
    evaluate.add_argument("--root", type=pathlib.Path, help="the data's folder, if it has moved")
    evaluate.add_argument(
        "--edge-tolerance", type=float, metavar="SHARE",
        help="judge edges by the boundary benchmark too: largest distance of matched pixels as a "
        "share of the image diagonal (NYUD 0.011, others 0.0075)",
    )  # fmt: skip
    evaluate.add_argument("--workers", type=int, default=2, help="processes of that benchmark")
    evaluate.set_defaults(command=_evaluate)

    compare = commands.add_parser("compare", help="two runs on the same images, with intervals")
    compare.add_argument("first", type=pathlib.Path, help="folder of a run, or its images.npz")
    compare.add_argument("second", type=pathlib.Path, help="folder of a run, or its images.npz")
    compare.add_argument("--resamples", type=int, default=1000, help="draws of the bootstrap")
    compare.set_defaults(command=_compare)

    predict = commands.add_parser("predict", help="write coloured maps of photographs and videos")
    predict.add_argument("photos", type=pathlib.Path, nargs="+", help="images, folders, videos")
    predict.add_argument("--model", type=pathlib.Path, required=True, help="model.keras of a run")
    predict.add_argument("--out", type=pathlib.Path, help="folder (default: beside each photo)")
    predict.add_argument("--side-by-side", action="store_true", help="one picture for all tasks")
    predict.set_defaults(command=_predict)

    export = commands.add_parser("export", help="write a model for other programs and check it")
    export.add_argument("model", type=pathlib.Path, help="model.keras of a run")
    export.add_argument("out", type=pathlib.Path, help="file (savedmodel: folder) to write")
    export.add_argument("--format", default="onnx", help="savedmodel, onnx or litert")
    export.add_argument(
        "--with-preprocessing", action="store_true", help="take RGB 0 to 255, not normalised images"
    )
    export.add_argument("--photos", type=pathlib.Path, nargs="*", default=[], help="to check on")
    export.set_defaults(command=_export)

    data = commands.add_parser("data", help="look at data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the data sets this library reads")
    listed.set_defaults(command=_data_list)
    check = actions.add_parser("check", help="read a whole data set and show a contact sheet")
    check.add_argument("root", type=pathlib.Path, help="folder of the data set")
    check.add_argument("--data", default="nyud", help="which data set it is: see `data list`")
    check.add_argument("--num-classes", type=int, default=13, help="semantic classes")
    check.add_argument("--sheet", type=pathlib.Path, default=pathlib.Path("contact_sheet.png"))
    check.set_defaults(command=_data_check)

    pack = actions.add_parser("pack", help="write a data set as TFRecord files")
    pack.add_argument("root", type=pathlib.Path, help="folder of the data set")
    pack.add_argument("out", help="folder to write, or a gs://, s3://, ... path")
    pack.add_argument("--data", default="nyud", help="which data set it is: see `data list`")
    pack.add_argument("--num-classes", type=int, default=40, help="semantic classes")
    pack.add_argument("--shard-mib", type=int, default=128, help="size of a file, MiB")
    pack.set_defaults(command=_data_pack)
    unpack = actions.add_parser("unpack", help="write a packed data set as plain files")
    unpack.add_argument("packed", help="folder that `data pack` wrote")
    unpack.add_argument("out", type=pathlib.Path, help="folder to write")
    unpack.set_defaults(command=_data_unpack)

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


def _options_of(path: pathlib.Path | None) -> dict[str, Any]:
    """The options in a YAML or JSON file, none without one."""
    import yaml

    if path is None:
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold an object of options")
    return values


def _train(options: argparse.Namespace) -> int:
    from mtl_tf.experiments import make_config, run

    values = _options_of(options.config)
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
        verbose=2 if options.quiet else "auto", baseline=options.baseline,
    )  # fmt: skip
    print((out / "report.md").read_text())
    minutes = summary["environment"]["training_s"] / 60
    print(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0


def _survey(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.grid import SURVEYS
    from mtl_tf.experiments.survey import survey

    chosen = SURVEYS.get(options.preset, {"base": {}, "rows": []})
    base = {**chosen["base"], **_options_of(options.config)}
    base |= {k: getattr(options, k) for k in ("data", "root") if getattr(options, k) is not None}
    rows = chosen["rows"]
    if options.architectures:
        methods = options.balancings.split(",")
        rows = [(name, method) for name in options.architectures.split(",") for method in methods]
    try:
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError as error:
        raise ValueError(f"--seeds must hold whole numbers. Received: {options.seeds}") from error
    problems = survey(
        options.out, rows, seeds, base, chosen.get("alone"), options.workers,
        60 * options.time_limit_min, options.memory_limit_mib,
    )  # fmt: skip
    if (options.out / "table.md").is_file():
        print((options.out / "table.md").read_text())
    return 1 if problems else 0


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
    images = evaluation.evaluate_images(
        model, dataset.test(), dataset.tasks, options.edge_tolerance, options.workers
    )
    images.save(options.run / "images.npz")
    print(json.dumps(images.results(), indent=2))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from mtl_tf.evaluation import ImageStates, comparison

    first, second = (ImageStates.load(path) for path in (options.first, options.second))
    found = comparison.compare(first, second, options.resamples)
    print(comparison.as_text(found, len(first)))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.predict import Predictor, predict_files

    stems = [photo.stem for photo in options.photos]
    if options.out is not None and len(set(stems)) < len(stems):
        raise ValueError(f"photos must have different names to share {options.out}")
    for photo in options.photos:
        if not photo.exists():
            raise FileNotFoundError(f"{photo} is missing")
    predictor = Predictor(options.model)
    for photo in options.photos:
        for path in predict_files(predictor, photo, options.out, options.side_by_side):
            print(path)
    return 0


def _export(options: argparse.Namespace) -> int:
    import keras

    from mtl_tf.experiments.export import export_model

    if not options.model.is_file():
        raise FileNotFoundError(f"{options.model} is missing: give the model.keras of a run")
    differences = export_model(
        keras.saving.load_model(options.model), options.out, options.format,
        options.with_preprocessing, options.photos,
    )  # fmt: skip
    for task, difference in differences.items():
        print(f"{task:20} differs from Keras by {difference:.2g} at most")
    print(options.out)
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from mtl_tf import data

    for name, row in data.TABLE.items():
        print(f"{name:16} {', '.join(row.tasks)} ({row.source})")
    return 0


def _data_check(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.check import check_data

    problems = check_data(options.data, options.root, options.num_classes, options.sheet)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _data_pack(options: argparse.Namespace) -> int:
    from mtl_tf import data

    dataset = data.open_folder(
        options.data, options.root, tasks=None, num_classes=options.num_classes
    )
    data.pack(dataset, options.out, options.shard_mib << 20, verbose=True)
    return 0


def _data_unpack(options: argparse.Namespace) -> int:
    from mtl_tf import data

    data.unpack(options.packed, options.out, verbose=True)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from mtl_tf.experiments.doctor import diagnosis

    for name, value in diagnosis().items():
        print(f"{name:22} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
