"""`mtl-tf train`: train, evaluate and report into a folder."""

import argparse
import contextlib
import json
import pathlib
from collections.abc import Iterator

from mtl_tf.cli.flags import Subparsers, add_config_options_later
from mtl_tf.experiments.presets import PRESETS
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("train", help="train, evaluate and report into a folder")
    parser.add_argument(
        "--preset", choices=list(PRESETS), metavar="NAME", help=f"one of {', '.join(PRESETS)}"
    )
    parser.add_argument("--config", type=pathlib.Path, help="a YAML or JSON file of options")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the run (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--baseline",
        type=pathlib.Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="finished single-task runs, that the Delta-m of the best epoch is relative to",
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard logs")
    parser.add_argument(
        "--open", action="store_true", help="follow the runs beside --out in a browser; see view"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only the results")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object for each epoch, and one for the results"
    )
    add_config_options_later(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Train, evaluate, report, and print the table."""
    from mtl_tf.cli.options import config_from
    from mtl_tf.experiments.from_config import load_tasks
    from mtl_tf.experiments.progress import JsonLines, Rows, Silent, print_results
    from mtl_tf.experiments.run import run as run_experiment

    preset, config = config_from(options)
    tasks = load_tasks(config)
    name = config.data.rpartition(":")[2]
    out = options.out or pathlib.Path("runs") / (preset or name)
    with _followed(out.parent) if options.open else contextlib.nullcontext():
        summary = run_experiment(
            config,
            out,
            resume=options.resume,
            tensorboard=options.tensorboard,
            progress=JsonLines() if options.json else Silent() if options.quiet else Rows(),
            baseline=options.baseline,
        )
    if options.json:
        say(json.dumps({"results": summary["results"], "folder": str(out)}))
        return 0
    print_results(summary, tasks)
    minutes = summary["environment"]["training_s"] / 60
    say(f"Trained for {minutes:.1f} minutes. Report: {out / 'report.html'}")
    return 0


@contextlib.contextmanager
def _followed(runs: pathlib.Path) -> Iterator[None]:
    """Serve a folder of runs while one of them trains, and open a browser."""
    import webbrowser

    from mtl_tf.experiments.live.server import serving

    runs.mkdir(parents=True, exist_ok=True)
    with serving(runs) as address:
        say(f"Follow the runs at {address}", error=True)
        webbrowser.open(address)
        yield
