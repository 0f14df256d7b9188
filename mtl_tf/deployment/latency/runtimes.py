"""Latency of a network in all runtimes that can serve it."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from mtl_tf.deployment.export import export_model
from mtl_tf.deployment.export.formats import format_of_existing, suffix_of
from mtl_tf.deployment.latency.measurement import Job, Latency
from mtl_tf.deployment.presets import model_file

RUNTIMES = ("keras", "tf.function", "xla", "onnx", "litert")
"""Keras without a graph, as a graph, compiled by XLA; ONNX Runtime; LiteRT."""

_MODULE = "mtl_tf.deployment.latency"


def benchmark(
    model: str | os.PathLike[str] | None,
    files: Sequence[str | os.PathLike[str]] = (),
    *,
    runtimes: Sequence[str] = RUNTIMES,
    threads: Sequence[int] = (1, 2),
    batches: Sequence[int] = (1, 8),
    seconds: float = 3.0,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Latency]:
    """Measure the latency of a network on this machine, each runtime in a process of its own.

    Source: this library.

    Args:
        model: a run, preset or `.keras` file, measured in `runtimes`; ONNX and LiteRT files of it
            are made for that (float32, raw predictions). `None` to measure `files` only.
        files: exported files to measure too.
        runtimes: names from `RUNTIMES`.
        threads: numbers of threads.
        batches: numbers of images.
        seconds: time for each measurement; at least five batches are measured.
        progress: receives a line of text before each process.

    Returns:
        A result for each runtime or file, number of threads and batch; with an `error` where it
        cannot be measured.

    Raises:
        ValueError: for an unknown runtime or file, numbers below one, or nothing to measure.
        FileNotFoundError: if the model or a file is missing.

    Examples:
        >>> benchmark("quick", runtimes=["onnx"], threads=[2], batches=[1])  # doctest: +SKIP
        [Latency(runtime='onnx', threads=2, batch=1, median_ms=..., ...)]
    """
    _check(model, files, runtimes, threads, batches, seconds)
    measured = functools.partial(
        _measured, threads=threads, batches=batches, seconds=seconds, progress=progress
    )
    results: list[Latency] = []
    if model is not None:
        source = model_file(model)
        for name in runtimes:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    path = _prepared(source, name, pathlib.Path(folder), progress)
                except (ImportError, RuntimeError, ValueError) as error:
                    results += _failed(name, threads, batches, str(error))
                else:
                    results += measured(name, name, path)
    for file in map(pathlib.Path, files):
        results += measured(file.name, format_of_existing(file), file)
    return results


def _check(
    model: object,
    files: Sequence[str | os.PathLike[str]],
    runtimes: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
    seconds: float,
) -> None:
    unknown = [name for name in runtimes if name not in RUNTIMES]
    if unknown:
        raise ValueError(f"runtimes must be of {list(RUNTIMES)}. Received: {unknown}")
    if min([*threads, *batches], default=0) < 1 or not threads or not batches or not seconds > 0:
        raise ValueError(
            "threads and batches must be numbers of at least 1, seconds above 0. Received: "
            f"{list(threads)}, {list(batches)}, {seconds}"
        )
    if not files and (model is None or not runtimes):
        raise ValueError("Give a model and runtimes, or an exported file, to measure")
    for file in map(pathlib.Path, files):
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing")
        format_of_existing(file)


def _prepared(
    source: pathlib.Path, runtime: str, folder: pathlib.Path, progress: Callable[[str], None]
) -> pathlib.Path:
    """Return the file of a network for a runtime."""
    if runtime not in ("onnx", "litert"):
        return source
    progress(f"export to {runtime}")
    path = folder / f"model{suffix_of(runtime)}"
    export_model(source, path, runtime)
    return path


def _measured(
    name: str,
    runtime: str,
    path: pathlib.Path,
    threads: Sequence[int],
    batches: Sequence[int],
    seconds: float,
    progress: Callable[[str], None],
) -> list[Latency]:
    """Measure a file with each number of threads, in new processes."""
    results: list[Latency] = []
    for count in threads:
        progress(f"{name}, {count} thread{'s' * (count > 1)}")
        content = _run(Job(runtime, str(path), count, tuple(batches), seconds))
        if isinstance(content, str):
            results += _failed(name, [count], batches, content)
        else:
            results += [Latency(**{**values, "runtime": name}) for values in content]
    return results


def _failed(name: str, threads: Sequence[int], batches: Sequence[int], error: str) -> list[Latency]:
    return [Latency(name, count, batch, error=error) for count in threads for batch in batches]


def _run(job: Job) -> list[dict[str, Any]] | str:
    """Measure a job in a new process; return its results, or an error."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "latencies.json")
        command = [sys.executable, "-m", _MODULE, json.dumps(dataclasses.asdict(job)), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if out.is_file():
            content = json.loads(out.read_text("utf-8"))
            return content["error"] if isinstance(content, dict) else content
    if done.returncode < 0:
        return f"its process was killed by signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
