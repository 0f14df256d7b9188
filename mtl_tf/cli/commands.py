"""Commands of `mtl-tf`: from parsed options to an exit code.

`options` is what the parser of `mtl_tf.cli` gives.
"""

import collections
import datetime
import json
import pathlib
from typing import Any

import yaml

from mtl_tf import data
from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.cli.check_data import check_data
from mtl_tf.cli.doctor import diagnosis
from mtl_tf.data.files import shown
from mtl_tf.deployment.export import export_model
from mtl_tf.deployment.predict import Predictor, photographs, predict_all
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.evaluation import ImageStates, comparison
from mtl_tf.experiments.config import make_config, read_config
from mtl_tf.experiments.run import judge, load_data, run
from mtl_tf.experiments.terminal import say
from mtl_tf.surveys.grid import SURVEYS
from mtl_tf.surveys.survey import survey as run_survey
from mtl_tf.surveys.tune import tune as search

_LARGEST_FILE = 1 << 18
_MOST_VALUES = 10_000  # in a file of options
_TEXTS = ("root", "pretrained", "preset")  # whatever stands there: a folder may be called 795


def _option(text: str, name: str = "") -> Any:
    """The value of an option: JSON where it is JSON, else the text."""
    if name in _TEXTS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _options_of(path: pathlib.Path | None) -> dict[str, Any]:
    """The options in a YAML or JSON file, none without one."""
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_LARGEST_FILE + 1)
        if len(text) > _LARGEST_FILE:
            raise ValueError(f"it has more than {_LARGEST_FILE} letters")
        _check_nodes(yaml.compose(text, yaml.SafeLoader))
        values, as_written = yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON of options: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"{path} must hold an object of options by name")
    texts = {key for key in _TEXTS if isinstance(values.get(key), int | float | datetime.date)}
    return values | {key: as_written[key] for key in texts}


def _check_nodes(root: Any) -> None:
    """`ValueError` for a key that is there twice, and for aliases that make a flood of values."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:  # 0 inside itself
            if not sizes[id(node)]:
                raise ValueError(f"a value holds itself{node.start_mark}")
            return sizes[id(node)]
        sizes[id(node)] = 0
        children: list[Any] = []
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            key, times = next(iter(collections.Counter(keys).most_common(1)), ("", 0))
            if times > 1:
                raise ValueError(f"{key!r} is there twice{node.start_mark}")
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        total = 1 + sum(map(size, children))
        if total > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values{node.start_mark}")
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def _chosen(options: Any) -> tuple[str | None, Any]:
    """The preset and the configuration that preset, file and flags make."""
    values = _options_of(options.config)
    preset = options.preset or values.pop("preset", None)
    for key, text in vars(options).items():
        if key.startswith("option_") and text is not None:
            name = key.removeprefix("option_")
            is_list = name in ("tasks", "auxiliary_tasks", "zoom") and not text.startswith("[")
            values[name] = text.split(",") if is_list else _option(text, name)
    return preset, make_config(preset, **values)


def train(options: Any) -> int:
    """Trains, evaluates, reports; prints the table."""
    preset, config = _chosen(options)
    out = options.out or pathlib.Path("runs") / (preset or config.data)
    summary = run(
        config, out, resume=options.resume, tensorboard=options.tensorboard,
        verbose=2 if options.quiet else "auto", baseline=options.baseline,
    )  # fmt: skip
    say((out / "report.md").read_text())
    minutes = summary["environment"]["training_s"] / 60
    say(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0


def tune(options: Any) -> int:
    """Searches and prints the trials."""
    search(
        _chosen(options)[1], options.out, options.trials, options.search.split(","),
        options.baseline, 60 * options.time_limit_min, options.memory_limit_mib,
    )  # fmt: skip
    say((options.out / "trials.md").read_text())
    say(f"Train with the best: mtl-tf train --config {options.out / 'best.json'}")
    return 0


def survey(options: Any) -> int:
    """Trains a grid and prints its table; 1 if a cell failed."""
    chosen = SURVEYS.get(options.preset, {"base": {}, "rows": []})
    always = _options_of(options.config)
    always |= {k: getattr(options, k) for k in ("data", "root") if getattr(options, k) is not None}
    rows = chosen["rows"]
    if options.balancings and not options.architectures:
        raise ValueError("--balancings needs --architectures: the rows are all pairs of the two")
    if options.architectures:
        methods = (options.balancings or "fixed_weights").split(",")
        rows = [(name, method) for name in options.architectures.split(",") for method in methods]
    try:
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError as error:
        raise ValueError(f"--seeds must hold whole numbers. Received: {options.seeds}") from error
    problems = run_survey(
        options.out, rows, seeds, chosen["base"], chosen.get("alone"), always, options.workers,
        60 * options.time_limit_min, options.memory_limit_mib,
    )  # fmt: skip
    if (options.out / "table.md").is_file():
        say((options.out / "table.md").read_text())
    return 1 if problems else 0


def evaluate(options: Any) -> int:
    """Judges the model of a run again and prints the results."""
    config = read_config(options.run / "config.json")
    if options.root is not None:
        config = config.model_copy(update={"root": options.root})
    dataset = load_data(config)
    path = options.run / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run has not finished training")
    model = load_network(path)
    if model.input_shape[1:] != dataset.input_shape:
        raise ValueError(
            f"{path} takes images {model.input_shape[1:]}, but its config.json says "
            f"{dataset.input_shape}: they are not of one run"
        )
    stored = options.run / "results.json"
    summary = read_summary(options.run) if stored.exists() else None  # killed before it judged
    results = judge(options.run, model, dataset, options.edge_tolerance, options.workers)
    if summary is not None:
        write_atomically(stored, json.dumps(summary | {"results": results}, indent=2))
    say(json.dumps(results, indent=2))
    return 0


def compare(options: Any) -> int:
    """Prints how two runs differ on the same images."""
    first, second = (ImageStates.load(path) for path in (options.first, options.second))
    found = comparison.compare(first, second, options.resamples)
    say(comparison.as_text(found, len(first)))
    return 0


def predict(options: Any) -> int:
    """Writes coloured maps and prints their paths."""
    for photo in options.photos:
        if not photo.exists():
            raise FileNotFoundError(f"{photo} is missing")
    predictor = Predictor(options.model)
    files = photographs(options.photos, predictor.model.output, options.out)
    for path in predict_all(predictor, files, options.out, options.side_by_side):
        say(shown(path))
    return 0


def export(options: Any) -> int:
    """Writes a model for other programs and prints how far it differs."""
    differences = export_model(
        load_network(options.model), options.out, options.format,
        options.with_preprocessing, options.photos,
    )  # fmt: skip
    for task, difference in differences.items():
        say(f"{task:20} differs from Keras by {difference:.2g} at most")
    say(options.out)
    return 0


def data_list(options: Any) -> int:
    """Prints the data sets."""
    for name, row in data.TABLE.items():
        say(f"{name:16} {', '.join(row.tasks)} ({row.source})")
    return 0


def data_check(options: Any) -> int:
    """Reads a whole data set; 1 if an item is broken."""
    problems = check_data(options.data, options.root, options.num_classes, options.sheet)
    for problem in problems:
        say(problem, error=True)
    return 1 if problems else 0


def data_pack(options: Any) -> int:
    """Writes a data set as TFRecord files."""
    dataset = data.open_folder(
        options.data, options.root, tasks=None, num_classes=options.num_classes
    )
    data.pack(dataset, options.out, options.shard_mib << 20, verbose=True)
    return 0


def data_unpack(options: Any) -> int:
    """Writes a packed data set as plain files."""
    data.unpack(options.packed, options.out, verbose=True)
    return 0


def doctor(options: Any) -> int:
    """Prints facts about the installation."""
    for name, value in diagnosis().items():
        say(f"{name:22} {value}")
    return 0
