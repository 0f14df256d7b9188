"""The only place that loads the compiled ops."""

import contextlib
import contextvars
import ctypes
import dataclasses
import functools
import importlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from types import ModuleType

import tensorflow as tf

_FOLDER = pathlib.Path(__file__).parent
_CHOICES = ("auto", "on", "off")
_portable = contextvars.ContextVar("portable", default=False)


@dataclasses.dataclass(frozen=True)
class NativeStatus:
    """Status of the compiled ops in this process.

    Attributes:
        available: whether ops run compiled code.
        reason: why not, and how to fix it; empty when available.
        mode: the value of `MTL_TF_NATIVE`: `"auto"`, `"on"` or `"off"`.
        library: path of the TensorFlow op library, or `None`.
        built_for: TensorFlow version the ops were compiled against, or `None`.
        running: TensorFlow version of this process.
        cpu_isa: instruction set chosen (`"baseline"`, `"avx2"`, `"avx512"`), or `None`.
        compiler: the C++ compiler used, or `None`.
        cuda_architectures: GPU architectures compiled in; empty for a CPU-only build.
        xla: whether the ops run inside `jit_compile=True`.
    """

    available: bool
    reason: str
    mode: str
    library: str | None
    built_for: str | None
    running: str
    cpu_isa: str | None
    compiler: str | None
    cuda_architectures: tuple[str, ...] = ()
    xla: bool = False


def native_mode() -> str:
    """Return the value of `MTL_TF_NATIVE`; `ValueError` for anything but auto, on and off."""
    mode = os.environ.get("MTL_TF_NATIVE", "auto").lower()
    if mode not in _CHOICES:
        raise ValueError(f"MTL_TF_NATIVE must be one of {_CHOICES}. Received: {mode!r}")
    return mode


def native_status() -> NativeStatus:
    """Return whether native ops are in use, and if not, why.

    Returns:
        A `NativeStatus`. Never raises for a library that cannot be loaded: the reason is in it.

    Raises:
        ValueError: if `MTL_TF_NATIVE` is not `auto`, `on` or `off`.
    """
    mode = native_mode()
    loaded, reason = _load() if mode != "off" else (None, "MTL_TF_NATIVE=off")
    bindings = _bindings()
    return NativeStatus(
        available=loaded is not None,
        reason=reason,
        mode=mode,
        library=str(_library_path()) if _library_path() else None,
        built_for=(bindings.TENSORFLOW_VERSION or None) if bindings else None,
        running=tf.__version__,
        cpu_isa=bindings.cpu_isa() if bindings else None,
        compiler=bindings.COMPILER if bindings else None,
        cuda_architectures=_cuda_architectures(),
        xla=loaded is not None,
    )


def tensorflow_ops() -> ModuleType | None:
    """Return the module of compiled TensorFlow ops, or `None` where the reference is to be used."""
    mode = native_mode()
    if mode == "off" or is_portable():
        return None
    loaded, reason = _load()
    if loaded is None:
        if mode == "on":
            raise RuntimeError(f"MTL_TF_NATIVE=on, but native ops are not available: {reason}")
        _warn_once(reason)
    return loaded


def loaded_ops() -> ModuleType:
    """Return the module of compiled TensorFlow ops, for gradients of ops in use."""
    library, _ = _load()
    assert library is not None
    return library


def has_gpu() -> bool:
    """Return whether TensorFlow may place ops on a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Build ops from TensorFlow's own in this context: what is traced runs without `mtl_tf`.

    `model.export` of every architecture does it by itself; use it to export other models:

        with mtl.ops.portable():
            model.export("folder")
    """
    before = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(before)


def is_portable() -> bool:
    """Return whether ops are built from TensorFlow's own, see `portable`."""
    return _portable.get()


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(f"mtl_tf uses pure-TensorFlow ops: {reason}", RuntimeWarning, stacklevel=4)


def _library_path() -> pathlib.Path | None:
    path = _FOLDER / "_tensorflow_ops.so"
    return path if path.exists() else None


@functools.cache
def _bindings() -> ModuleType | None:
    try:
        return importlib.import_module("mtl_tf.ops._kernels")
    except ImportError:
        return None


def kernels() -> ModuleType | None:
    """Return the module of kernels on NumPy arrays, or `None` where the reference is to be used."""
    return None if native_mode() == "off" else _bindings()


def _cuda_architectures() -> tuple[str, ...]:
    bindings = _bindings()
    return tuple(filter(None, bindings.CUDA_ARCHITECTURES.split(","))) if bindings else ()


def _driver_version() -> int:
    """Return the newest CUDA that the driver runs, 1000 major + 10 minor; 0 without one."""
    version = ctypes.c_int(0)
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value


def _why_not_on_gpu(bindings: ModuleType) -> str:
    """Why the ops cannot run on the GPU that TensorFlow sees; empty if they can.

    A driver runs the CUDA runtimes of its own major version and of earlier ones.
    """
    if not _cuda_architectures():
        return (
            "TensorFlow sees a GPU, but the ops were compiled without CUDA. Put nvcc on PATH and "
            "reinstall with MTL_TF_CUDA=ON, or hide the GPU (CUDA_VISIBLE_DEVICES=-1)"
        )
    runtime, driver = bindings.CUDA_VERSION, _driver_version()
    if driver // 1000 < runtime // 1000:
        limit = f"runs CUDA up to {_text(driver)}" if driver else "has no libcuda.so.1"
        return (
            f"the ops were compiled with CUDA {_text(runtime)}, but the GPU's driver {limit}. "
            "Update the driver, reinstall with an older nvcc on PATH, or hide the GPU "
            "(CUDA_VISIBLE_DEVICES=-1)"
        )
    return ""


def _text(cuda_version: int) -> str:
    return f"{cuda_version // 1000}.{cuda_version % 1000 // 10}"


@functools.cache
def _load() -> tuple[ModuleType | None, str]:
    """Return (module of ops, "") or (None, why not).

    A library built for another TensorFlow is not opened: its symbols may be missing or, worse, have
    another meaning.
    """
    path, bindings = _library_path(), _bindings()
    if path is None or bindings is None:
        return None, (
            "the compiled ops are not installed (pure-Python install). Reinstall with a C++17 "
            "compiler and without MTL_TF_BUILD_OPS=0"
        )
    built_for, running = bindings.TENSORFLOW_VERSION, tf.__version__
    if built_for.split(".")[:2] != running.split(".")[:2]:
        return None, (
            f"the compiled ops were built for TensorFlow {built_for}, but TensorFlow {running} is "
            f"running. Install tensorflow-cpu=={built_for}, or rebuild: "
            "pip install --no-build-isolation --force-reinstall --no-deps mtl-tf"
        )
    reason = _why_not_on_gpu(bindings) if has_gpu() else ""
    if reason:
        return None, reason
    try:
        return tf.load_op_library(str(path)), ""
    except (tf.errors.OpError, OSError) as error:
        return None, f"{path} cannot be loaded: {error}"
