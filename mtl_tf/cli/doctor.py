"""`mtl-tf doctor`: versions, devices and native ops of the installation."""

import argparse
import os
import platform

from mtl_tf.cli.options import Subparsers
from mtl_tf.experiments.terminal import say


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    return subparsers.add_parser("doctor", help="versions, devices and native ops")


def run(_options: argparse.Namespace) -> int:
    """Print facts about the installation."""
    for name, value in diagnosis().items():
        say(f"{name:22} {value}")
    return 0


def diagnosis() -> dict[str, str]:
    """Return facts about this installation by name; run the native Gramian if it is available."""
    import keras
    import numpy as np
    import tensorflow as tf

    import mtl_tf

    status = mtl_tf.ops.native_status()
    devices = [device.name for device in tf.config.list_physical_devices()]
    facts = {
        "mtl_tf": mtl_tf.__version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": f"{keras.__version__} ({keras.backend.backend()} backend)",
        "numpy": np.__version__,
        "devices": ", ".join(devices),
        "processors": str(os.cpu_count()),
        "native ops": "available" if status.available else f"not available: {status.reason}",
        "MTL_TF_NATIVE": status.mode,
        "built for tensorflow": str(status.built_for),
        "built with": str(status.compiler),
        "instruction set": str(status.cpu_isa),
        "cuda architectures": ", ".join(status.cuda_architectures) or "none",
        "library": str(status.library),
    }
    if status.available:
        ones = tf.ones([1000])
        works = float(mtl_tf.ops.gramian([[ones], [2 * ones]])[0, 1]) == 2000.0
        facts["gramian"] = "runs and is right" if works else "runs but is WRONG: please report this"
    return facts
