"""Imports on first use, so that the command line answers before TensorFlow is imported."""

import importlib
import pathlib
import sys
from collections.abc import Callable, Mapping

_MODULES = ("mtl_tf", "mtl_tf.cli")  # of `python -m`

IS_COMMAND = pathlib.Path(sys.argv[0] if sys.argv else "").stem == "mtl-tf" or (
    sys.argv[:1] == ["-m"] and any(module in _MODULES for module in sys.orig_argv[1:])
)
"""Whether this process is `mtl-tf`; packages then import their parts on first use."""


def on_first_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package whose names are imported on first use (PEP 562).

    Args:
        package: name of the package.
        modules: `{name: module}`: the module of the package that has the name; a name that is its
            own module stands for that module.
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        return module if modules[name] == name else getattr(module, name)

    return get
