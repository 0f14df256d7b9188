"""Latency of every architecture with two backbones in three runtimes, stored as JSON.

    python -m benchmarks.latency_of_architectures [docs/results/latency.json] [--machine TEXT]

Networks that the file has already are not measured again, unless one failed. The weights are
random: they do not change the latency. A network is measured in a process of its own, which may
take at most MEMORY_GIB: a conversion that needs more is stored as an error.
"""

import argparse
import dataclasses
import inspect
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import keras

import mtl_tf as mtl
from mtl_tf.atomic_files import write_atomically
from mtl_tf.deployment.latency.table import latency_table

TASKS = {"semseg": 13, "depth": 1, "normals": 3, "edges": 1}
SHAPE = (192, 256, 3)
BACKBONES = ("resnet18", "efficientnet_lite0")
RUNTIMES = ("tf.function", "onnx", "litert")
MEMORY_GIB = 18
TOO_LARGE = f"needs more than {MEMORY_GIB} GiB of memory"


def built(architecture: str, backbone: str) -> keras.Model:
    """Return a network: `single_task` is one for each task, `jtrl` takes the first two tasks."""
    cls = mtl.architectures.TABLE[architecture].cls
    if architecture != "single_task":
        tasks = {t: TASKS[t] for t in list(TASKS)[:2]} if architecture == "jtrl" else TASKS
        head = {"head": "conv"} if "head" in inspect.signature(cls).parameters else {}
        return cls(backbone, tasks, SHAPE, output_stride=32, **head)
    image = keras.Input(SHAPE)
    outputs = {}
    for task, channels in TASKS.items():
        outputs |= cls(backbone, {task: channels}, SHAPE, head="conv", output_stride=32, name=task)(
            image
        )
    return keras.Model(image, outputs)


def normalise(network: keras.Model) -> None:
    """Give batch normalisation the statistics of noise.

    Without them the features of a deep network grow from layer to layer, and with them the rounding
    that the check of an export allows for.
    """
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(keras.random.normal((2, *SHAPE), seed=0), training=True)


def measured(architecture: str, backbone: str, runtimes: tuple[str, ...]) -> dict[str, object]:
    """Return the latencies of a network."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_GIB * 2**30, most))
    network = built(architecture, backbone)
    normalise(network)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        network.save(path)
        latencies = mtl.deployment.benchmark(
            path, runtimes=runtimes, threads=[2], batches=[1], seconds=1.5
        )
    return {
        "architecture": architecture,
        "backbone": backbone,
        "parameters": network.count_params(),
        "latencies": [dataclasses.asdict(latency) for latency in latencies],
    }


def in_own_process(architecture: str, backbone: str) -> dict[str, object]:
    """Return what `measured` returns; of a runtime that takes too much memory, an error."""
    try:
        return _run(architecture, backbone, RUNTIMES)
    except (BrokenProcessPool, MemoryError):
        pass  # which of them?
    network: dict[str, object] = {"architecture": architecture, "backbone": backbone}
    latencies: list[object] = []
    for runtime in RUNTIMES:
        try:
            network = _run(architecture, backbone, (runtime,))
            latencies += network["latencies"]
        except (BrokenProcessPool, MemoryError):
            latencies.append({"runtime": runtime, "threads": 2, "batch": 1, "error": TOO_LARGE})
    return {**network, "latencies": latencies}


def _run(architecture: str, backbone: str, runtimes: tuple[str, ...]) -> dict[str, object]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measured, architecture, backbone, runtimes).result()


def _has_failed(network: dict[str, Any]) -> bool:
    return any(latency["error"] not in ("", TOO_LARGE) for latency in network["latencies"])


def main(out: pathlib.Path, machine: str) -> None:
    """Measure what is missing, and print the table."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `mtl-tf` does
    stored = json.loads(out.read_text("utf-8")) if out.exists() else {"networks": []}
    stored["networks"] = [n for n in stored["networks"] if not _has_failed(n)]
    known = {(n["architecture"], n["backbone"]) for n in stored["networks"]}
    missing = [(a, b) for a in mtl.architectures.TABLE for b in BACKBONES if (a, b) not in known]
    for architecture, backbone in missing:
        network = in_own_process(architecture, backbone)
        stored["networks"].append({**network, "machine": machine})
        write_atomically(out, json.dumps(stored, indent=1))
        print(architecture, backbone, stored["networks"][-1]["latencies"], flush=True)
    print(latency_table(out))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path, nargs="?", default="docs/results/latency.json")
    parser.add_argument("--machine", default=f"{platform.processor() or platform.machine()}")
    options = parser.parse_args()
    main(options.out, options.machine)
