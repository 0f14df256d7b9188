"""`mtl-tf benchmark`: latency of a network in the runtimes that can serve it."""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_tf.cli.flags import Subparsers, add_json, split_list
from mtl_tf.cli.json_output import say_json
from mtl_tf.cli.tensorflow_log import native_lines_hidden
from mtl_tf.experiments.terminal import say

if TYPE_CHECKING:
    from mtl_tf.deployment.latency import Latency

_HEADINGS = ("runtime", "threads", "batch", "median", "p95", "images/s", "memory")


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("benchmark", help="latency of a model in several runtimes")
    parser.add_argument(
        "model",
        type=pathlib.Path,
        help="folder of a run or preset, its name, or its model.keras; or an exported file",
    )
    parser.add_argument("files", type=pathlib.Path, nargs="*", help="exported files to measure too")
    parser.add_argument(
        "--runtimes",
        default="keras,tf.function,xla,onnx,litert",
        help="separated by commas (default: keras,tf.function,xla,onnx,litert)",
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--batches", default="1,8", help="numbers of images (default: 1,8)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="for each measurement (default: 3)"
    )
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the latency of a network in each runtime; return 1 if one could not be measured."""
    from mtl_tf.deployment.latency import benchmark

    is_file = (
        options.model.suffix in (".onnx", ".tflite") or (options.model / "saved_model.pb").is_file()
    )
    with native_lines_hidden(options.verbose):
        results = benchmark(
            None if is_file else options.model,
            [options.model] * is_file + options.files,
            runtimes=[name for name in split_list(options.runtimes) if name],
            threads=_numbers("--threads", options.threads),
            batches=_numbers("--batches", options.batches),
            seconds=options.seconds,
            progress=lambda text: say(f"{text} ...", error=True),
        )
    if options.json:
        say_json([dataclasses.asdict(result) for result in results])
    else:
        say(_table(results))
    return int(any(result.error for result in results))


def _numbers(flag: str, text: str) -> list[int]:
    try:
        return [int(part) for part in split_list(text)]
    except ValueError:
        raise ValueError(
            f"{flag} must be whole numbers separated by commas, such as 1,8. Received: {text}"
        ) from None


def _table(results: Sequence["Latency"]) -> str:
    """Return the results as text, one row each."""
    rows = [_HEADINGS, *map(_cells, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    errors = {f"{r.runtime}: {r.error}" for r in results if r.error}
    return "\n".join([*lines, *sorted(errors)])


def _cells(result: "Latency") -> tuple[str, ...]:
    first = (result.runtime, str(result.threads), str(result.batch))
    if result.error:
        return (*first, "failed", "", "", "")
    return (
        *first,
        f"{result.median_ms:.1f} ms",
        f"{result.p95_ms:.1f} ms",
        f"{result.images_per_s:.1f}",
        f"{result.memory_mib:.0f} MiB",
    )
