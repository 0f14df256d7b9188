"""The import of TensorFlow: its native log lines kept from the terminal, oneDNN in use."""

import contextlib
import faulthandler
import importlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from mtl_tf.optional_packages import imports_of_extra

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_PARTS = ("architectures", "balancing", "data", "deployment", "training", "experiments.run")


def import_library(verbose: bool = False) -> None:
    """Import TensorFlow and the parts of this library that register classes with Keras.

    oneDNN is switched on unless the environment says otherwise: TensorFlow leaves it off on
    processors without AVX-512 VNNI, where it makes training steps faster too.

    Args:
        verbose: whether the log lines of the import are shown.
    """
    is_imported = "tensorflow" in sys.modules
    if not is_imported:
        os.environ.setdefault(_ONEDNN, "1")
    is_shown = verbose or is_imported
    log = contextlib.nullcontext() if is_shown else silenced()
    with log, imports_of_extra("mtl-tf", "cpu,all"):
        for part in _PARTS:
            importlib.import_module(f"mtl_tf.{part}")
        # The import of a module has put the module where the package has its function.
        experiments = importlib.import_module("mtl_tf.experiments")
        setattr(experiments, "run", sys.modules["mtl_tf.experiments.run"].run)  # noqa: B010


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep what native code writes to standard error; write it after an error only.

    TensorFlow logs there before Python can set its level, whatever `TF_CPP_MIN_LOG_LEVEL` says.
    Warnings and errors of native code that come later are shown, and a crash of native code says
    where it was.
    """
    os.environ.setdefault(_LEVEL, "1")  # no information
    descriptor = _descriptor()
    if descriptor is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, _copy_of(descriptor) as original:
        os.dup2(kept.fileno(), descriptor)
        was_enabled = faulthandler.is_enabled()
        faulthandler.enable(original)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(original, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, descriptor)
            faulthandler.disable()
            if was_enabled:
                faulthandler.enable(descriptor)


@contextlib.contextmanager
def native_lines_hidden(verbose: bool = False) -> Iterator[None]:
    """Hide what native code writes to standard error; what Python writes there is shown.

    Converters and runtimes of other formats log their steps.

    Args:
        verbose: whether everything is shown.
    """
    descriptor = _descriptor()
    if verbose or descriptor is None:
        yield
        return
    python = sys.stderr
    python.flush()
    with (
        pathlib.Path(os.devnull).open("wb") as nowhere,
        _copy_of(descriptor) as original,
        os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace") as shown,
    ):
        os.dup2(nowhere.fileno(), descriptor)
        sys.stderr = shown if python is sys.__stderr__ else python
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(original, descriptor)


def _descriptor() -> int | None:
    """Return the descriptor of standard error; `None` if it is closed or has none."""
    try:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _copy_of(descriptor: int) -> Iterator[int]:
    copy = os.dup(descriptor)
    try:
        yield copy
    finally:
        os.close(copy)
