"""`mtl-tf evaluate`: evaluate the model of a run again."""

import argparse
import json
import pathlib

from mtl_tf.atomic_files import read_summary
from mtl_tf.cli.flags import Subparsers, add_json
from mtl_tf.cli.json_output import say_json
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="evaluate the model of a run again",
        description="Evaluate the model of a run again. Runs the code that config.json names: the "
        "files and modules of custom tasks and data sets.",
    )
    parser.add_argument("run", type=pathlib.Path, help="folder of a run")
    parser.add_argument("--root", type=pathlib.Path, help="the data's folder, if it has moved")
    parser.add_argument(
        "--edge-tolerance",
        type=float,
        metavar="SHARE",
        help="evaluate edges by the boundary benchmark too: largest distance of matched pixels as "
        "a share of the image diagonal (NYUD 0.011, others 0.0075)",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of that benchmark")
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Evaluate the model of a run again and print the results."""
    from mtl_tf.deployment import load_network
    from mtl_tf.experiments import run_folder
    from mtl_tf.experiments.config import read_config
    from mtl_tf.experiments.from_config import load_data
    from mtl_tf.experiments.outputs.report import write_run_report
    from mtl_tf.experiments.run import evaluate

    config = read_config(options.run / "config.json")
    if options.root is not None:
        config = config.model_copy(update={"root": options.root})
    if run_folder.is_locked(options.run):
        raise ValueError(f"Another process is running in {options.run}: wait for it")
    dataset = load_data(config)
    path = options.run / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run has not finished training")
    network = load_network(path)
    if network.input_shape[1:] != dataset.input_shape:
        raise ValueError(
            f"{path} takes images {network.input_shape[1:]}, but its config.json says "
            f"{dataset.input_shape}: they are not of one run"
        )
    stored = options.run / "results.json"  # missing if the run was killed before its evaluation
    summary = read_summary(options.run) if stored.exists() else None
    evaluated = evaluate(options.run, network, dataset, options.edge_tolerance, options.workers)
    results = evaluated.results
    if summary is not None:
        summary = summary | {"results": results}
        write_run_report(options.run, network, dataset, summary, evaluated.diagnostics)
    if options.json:
        say_json(results)
    else:
        say(json.dumps(results, indent=2))
    return 0
