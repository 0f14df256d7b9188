"""Packages of the extras: imported when needed, with an error that says what to install."""

import contextlib
import importlib
import types
from collections.abc import Iterator

_EXTRA = 'pip install "mtl-tf[{}]"'
_PACKAGES = {  # module: (name of the package, command that installs it)
    "OpenEXR": ("OpenEXR", "pip install OpenEXR"),
    "PIL": ("pillow", _EXTRA.format("data")),
    "ai_edge_litert": ("ai-edge-litert", _EXTRA.format("export")),
    "cv2": ("opencv-python-headless", _EXTRA.format("data")),
    "h5py": ("h5py", _EXTRA.format("data")),
    "jinja2": ("jinja2", _EXTRA.format("experiments")),
    "keras_hub": ("KerasHub", _EXTRA.format("hub")),
    "matplotlib": ("matplotlib", _EXTRA.format("experiments")),
    "onnx": ("onnx", _EXTRA.format("export")),
    "onnxruntime": ("onnxruntime", _EXTRA.format("export")),
    "optuna": ("Optuna", _EXTRA.format("tune")),
    "pydantic": ("pydantic", _EXTRA.format("data")),
    "safetensors": ("safetensors", _EXTRA.format("weights")),
    "scipy": ("SciPy", _EXTRA.format("data")),
    "shtab": ("shtab", _EXTRA.format("experiments")),
    "skimage": ("scikit-image", _EXTRA.format("data")),
    "tensorboard": ("tensorboard", _EXTRA.format("experiments")),
    "tensorflow": ("TensorFlow", _EXTRA.format("cpu")),
    "tf2onnx": ("tf2onnx", _EXTRA.format("export")),
    "torch": ("PyTorch", "pip install torch"),
    "yaml": ("PyYAML", _EXTRA.format("data")),
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


@contextlib.contextmanager
def imports_of_extra(purpose: str, extra: str, alternative: str = "") -> Iterator[None]:
    """Name the extra to install if an import in the `with` block lacks an optional package.

    Args:
        purpose: subject of the error message, such as `"mtl_tf.data"`.
        extra: extra with all the packages that the block needs.
        alternative: end of the error message: another remedy.

    Raises:
        ImportError: with the purpose, the missing package, and the command that installs the extra.
    """
    try:
        yield
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _PACKAGES:
            raise
        name, _ = _PACKAGES[module]
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        message = f"{purpose} needs {name}: {_EXTRA.format(extra)}{alternative} ({cause})"
        raise ImportError(message, name=error.name) from cause
