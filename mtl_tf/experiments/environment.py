"""Environment of a run: versions, source state, data, machine, time and memory."""

import contextlib
import dataclasses
import importlib.metadata
import math
import os
import pathlib
import platform
import statistics
import subprocess
import warnings
from typing import Any

import keras

import mtl_tf
from mtl_tf import architectures, ops
from mtl_tf.experiments.hardware import gpu_names, processor_name, uses_onednn

_PACKAGES = ("numpy", "keras", "tensorflow", "tensorflow-cpu", "opencv-python-headless")


def environment(
    model: keras.Model, fingerprint: str, history: list[dict[str, float]]
) -> dict[str, Any]:
    """Return the environment stored with the results of a run.

    Args:
        model: the trained network.
        fingerprint: of the data it was trained on.
        history: logs of its epochs.

    Returns:
        Times, memory while training (where the platform reports it), costs (multiply-adds where
        every layer can be counted, else there is a warning), versions, `source` (see
        `source_state`), `data` (the fingerprint) and `native_ops`.
    """
    steps = [epoch["step_ms"] for epoch in history[1:] or history]  # the first compiles
    peaks = [epoch["peak_memory_mib"] for epoch in history if "peak_memory_mib" in epoch]
    return {
        "training_s": round(sum(epoch["epoch_s"] for epoch in history), 1),
        "step_ms": round(statistics.median(steps), 1),
        **({"peak_memory_mib": round(max(peaks))} if peaks else {}),
        **_costs(model),
        "processors": os.cpu_count(),
        "processor": processor_name(),
        "onednn": uses_onednn(),
        **({"gpus": gpus} if (gpus := gpu_names()) else {}),
        "python": platform.python_version(),
        "mtl_tf": mtl_tf.__version__,
        **_versions(),
        "source": source_state(pathlib.Path(mtl_tf.__file__).parent),
        "data": fingerprint,
        "native_ops": dataclasses.asdict(ops.native_status()),
    }


def _costs(model: keras.Model) -> dict[str, int]:
    """Return parameters, and multiply-adds if they can be counted.

    An error here would lose a trained model, so it becomes a warning.
    """
    try:
        cost = architectures.summary(model)
    except ValueError as error:
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
        return {"parameters": sum(math.prod(v.shape) for v in model.trainable_variables)}
    return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def source_state(folder: pathlib.Path) -> str | None:
    """Return the commit of a git checkout, with `+` if files differ from it.

    Args:
        folder: of the package.

    Returns:
        `None` if the package is not part of a checkout.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or a folder it does not know
        return None
