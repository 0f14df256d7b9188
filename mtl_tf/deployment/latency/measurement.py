"""Latency of a network in one runtime, with one number of threads.

The threads of TensorFlow are fixed once it has computed anything, so each job needs a new process:
`python -m mtl_tf.deployment.latency JOB RESULT`.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mtl_tf.training.memory import peak_resident_mib

_WARM_UP = 3
_LEAST, _MOST = 5, 1000

Run = Callable[[np.ndarray], object]


@dataclasses.dataclass(frozen=True)
class Job:
    """A measurement for a process of its own.

    Attributes:
        runtime: a name from `RUNTIMES`.
        path: of the file to run.
        threads: of the runtime.
        batches: numbers of images.
        seconds: time for each batch.
    """

    runtime: str
    path: str
    threads: int
    batches: Sequence[int]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Latency:
    """Latency of a network in one runtime.

    Attributes:
        runtime: a name from `RUNTIMES`, or that of a file.
        threads: of the runtime.
        batch: number of images.
        median_ms: median of the milliseconds of a batch.
        p95_ms: 95th percentile.
        images_per_s: images a second, at the median.
        memory_mib: growth of the process from loading to its peak so far, MiB.
        error: why it cannot be measured; the numbers are NaN then.

    Examples:
        >>> Latency("onnx", 2, 8, 100.0, 120.0, 80.0, 30.0).images_per_s
        80.0
    """

    runtime: str
    threads: int
    batch: int
    median_ms: float = float("nan")
    p95_ms: float = float("nan")
    images_per_s: float = float("nan")
    memory_mib: float = float("nan")
    error: str = ""


def measure(job: Job) -> list[Latency]:
    """Measure the latency of a network in this process.

    Args:
        job: the measurement; its threads are those of TensorFlow too.

    Returns:
        One result by batch; of a file with a fixed batch one for that.
    """
    if job.runtime in (*_KERAS, "savedmodel"):
        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    before = _peak_memory_mib()
    shape, run = _loaded(job)
    results = []
    for batch in job.batches if shape[0] is None else [shape[0]]:
        size = [n or 256 for n in shape[1:3]]
        images = np.random.default_rng(0).uniform(0, 255, (batch, *size, 3)).astype(np.float32)
        times = _times_ms(run, images, job.seconds)
        median, p95 = np.percentile(times, (50, 95))
        memory = _peak_memory_mib() - before
        results.append(
            Latency(job.runtime, job.threads, batch, median, p95, 1000 * batch / median, memory)
        )
    return results


def _loaded(job: Job) -> tuple[tuple[int | None, ...], Run]:
    """Return the shape of the input, and a function of images."""
    if job.runtime in _KERAS:
        from mtl_tf.deployment.saved_models import load_network

        network = load_network(job.path)
        return network.input_shape, _KERAS[job.runtime](network)
    from mtl_tf.deployment.export import ExportedModel

    model = ExportedModel(job.path, job.threads)
    return model.input_shape, model


def _eager(network: tf.Module) -> Run:
    return lambda images: network(images, training=False)


def _graph(network: tf.Module) -> Run:
    return tf.function(lambda images: network(images, training=False))


def _xla(network: tf.Module) -> Run:
    return tf.function(lambda images: network(images, training=False), jit_compile=True)


_KERAS = {"keras": _eager, "tf.function": _graph, "xla": _xla}


def _times_ms(run: Run, images: np.ndarray, seconds: float) -> list[float]:
    """Return the milliseconds of the calls in a number of seconds, after warming up."""
    for _ in range(_WARM_UP):
        _wait(run(images))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST or (time.perf_counter() < end and len(times) < _MOST):
        start = time.perf_counter()
        _wait(run(images))
        times.append(1000 * (time.perf_counter() - start))
    return times


def _wait(outputs: object) -> None:
    """Copy the outputs to the memory of the processor: a GPU computes while Python goes on."""
    for output in outputs.values() if isinstance(outputs, dict) else ():
        np.asarray(output)


def _peak_memory_mib() -> float:
    """Return the peak memory of this process, MiB; NaN where the platform does not tell it."""
    peak = peak_resident_mib(os.getpid())
    return float("nan") if peak is None else peak
