"""Latency of a network in all runtimes that can serve it."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

from mtl_tf.deployment.export import export_model
from mtl_tf.deployment.export.formats import format_of, suffix_of
from mtl_tf.deployment.latency.measurement import Job, Latency
from mtl_tf.deployment.presets import model_file

RUNTIMES = ("keras", "tf.function", "xla", "onnx", "litert")
"""Keras without a graph, as a graph, compiled by XLA; ONNX Runtime; LiteRT."""

_MODULE = "mtl_tf.deployment.latency.measurement"


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
    results = []
    with tempfile.TemporaryDirectory() as folder:
        made = [] if model is None else _prepared(model, runtimes, pathlib.Path(folder), progress)
        for name, runtime, path in [*made, *_given(files)]:
            for count in threads:
                progress(f"{name}, {count} thread{'s' * (count > 1)}")
                job = Job(runtime, str(path), count, tuple(batches), seconds)
                results += [dataclasses.replace(r, runtime=name) for r in _measured(job)]
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
    if model is None and not files:
        raise ValueError("Give a model or an exported file to measure")
    for file in map(pathlib.Path, files):
        format_of(file)
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing")


def _prepared(
    model: str | os.PathLike[str],
    runtimes: Sequence[str],
    folder: pathlib.Path,
    progress: Callable[[str], None],
) -> Iterator[tuple[str, str, pathlib.Path]]:
    """Yield name, runtime and file of a network in each runtime."""
    source = model_file(model)
    for runtime in runtimes:
        path = source
        if runtime in ("onnx", "litert"):
            progress(f"export to {runtime}")
            path = folder / f"model{suffix_of(runtime)}"
            export_model(source, path, runtime)
        yield runtime, runtime, path


def _given(files: Sequence[str | os.PathLike[str]]) -> Iterator[tuple[str, str, pathlib.Path]]:
    for file in map(pathlib.Path, files):
        yield file.name, format_of(file), file


def _measured(job: Job) -> list[Latency]:
    """Measure a job in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "latencies.json")
        command = [sys.executable, "-m", _MODULE, json.dumps(dataclasses.asdict(job)), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return [Latency(**values) for values in json.loads(out.read_text("utf-8"))]
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return [Latency(job.runtime, job.threads, batch, error=lines[-1]) for batch in job.batches]
