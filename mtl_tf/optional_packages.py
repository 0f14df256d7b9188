"""Packages that only some functions need: imported there, or an error that says what to install."""

import importlib
from typing import Any

_EXTRA = 'pip install ".[{}]" in the source folder of mtl_tf'
_PACKAGES = {  # module: its name, and what installs it
    "keras_hub": ("KerasHub", _EXTRA.format("hub")),
    "onnx": ("onnx", _EXTRA.format("export")),
    "onnxruntime": ("onnxruntime", _EXTRA.format("export")),
    "optuna": ("Optuna", _EXTRA.format("tune")),
    "tf2onnx": ("tf2onnx", _EXTRA.format("export")),
    "torch": ("PyTorch", "pip install torch"),
}


def needed(module: str, purpose: str, instead: str = "") -> Any:
    """Imports a module of an optional package.

    Args:
        module: such as `"onnx"`, or a submodule such as `"optuna.storages"`.
        purpose: what needs it: the subject of the error.
        instead: what else would do: the end of the error.

    Returns:
        The module.

    Raises:
        ImportError: saying what needs it, what to install, and why it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name, command = _PACKAGES[module.partition(".")[0]]
        raise ImportError(f"{purpose} needs {name}: {command}{instead} ({error})") from error
