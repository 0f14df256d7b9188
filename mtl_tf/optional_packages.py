"""Optional packages: imported when needed, with an error that says what to install."""

import importlib
import types

_EXTRA = 'pip install ".[{}]" in the source folder of mtl_tf'
_PACKAGES = {  # module: (name of the package, command that installs it)
    "keras_hub": ("KerasHub", _EXTRA.format("hub")),
    "onnx": ("onnx", _EXTRA.format("export")),
    "onnxruntime": ("onnxruntime", _EXTRA.format("export")),
    "optuna": ("Optuna", _EXTRA.format("tune")),
    "tf2onnx": ("tf2onnx", _EXTRA.format("export")),
    "torch": ("PyTorch", "pip install torch"),
}


def optional_import(module: str, purpose: str, alternative: str = "") -> types.ModuleType:
    """Import a module of an optional package.

    Args:
        module: name such as `"onnx"`, or a submodule such as `"optuna.storages"`.
        purpose: subject of the error message: the feature that needs the package.
        alternative: end of the error message: another remedy.

    Returns:
        The module.

    Raises:
        ImportError: with the feature, the command that installs the package, and the cause.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name, command = _PACKAGES[module.partition(".")[0]]
        raise ImportError(f"{purpose} needs {name}: {command}{alternative} ({error})") from error
