"""Loading of the compiled ops: every failure is reported, none crashes."""

import ctypes
import subprocess
import sys
import types

import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops import _library

ONES = [[[1.0, 2.0]], [[3.0, 4.0]]]


@pytest.fixture
def fresh(monkeypatch):
    """Reset the loader before and after the test."""
    caches = (_library._load, _library._bindings, _library._warn_once)
    for cache in caches:
        cache.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()


def bindings_of(version, architectures="", cuda_version=0):
    """What the loader asks of the bindings."""
    return types.SimpleNamespace(
        TENSORFLOW_VERSION=version,
        COMPILER="GNU",
        CUDA_ARCHITECTURES=architectures,
        CUDA_VERSION=cuda_version,
        cpu_isa=lambda: "baseline",
    )


def test_status_names_versions_and_library():
    status = mtl.ops.native_status()
    assert status.running == tf.__version__
    if status.available:
        assert status.library.endswith(".so")
        assert status.cpu_isa in ("baseline", "avx2", "avx512")
        assert status.built_for.split(".")[:2] == tf.__version__.split(".")[:2]
    else:
        assert status.reason


def test_off_uses_the_reference(fresh):
    fresh.setenv("MTL_TF_NATIVE", "off")
    assert _library.tensorflow_ops() is None
    assert not mtl.ops.native_status().available
    assert mtl.ops.gramian(ONES)[0, 1] == 11.0


def test_unknown_mode_is_told(fresh):
    fresh.setenv("MTL_TF_NATIVE", "fast")
    with pytest.raises(ValueError, match="auto"):
        mtl.ops.native_status()


def test_missing_library_warns_once_or_fails_loudly(fresh):
    fresh.setattr(_library, "_library_path", lambda: None)
    with pytest.warns(RuntimeWarning, match="not installed"):
        assert mtl.ops.gramian(ONES)[0, 1] == 11.0
    assert mtl.ops.gramian(ONES)[0, 1] == 11.0
    fresh.setenv("MTL_TF_NATIVE", "on")
    with pytest.raises(RuntimeError, match="not installed"):
        mtl.ops.gramian(ONES)


def test_another_tensorflow_is_named_and_not_loaded(fresh):
    fresh.setattr(_library, "_bindings", lambda: bindings_of("2.19.1"))
    fresh.setattr(_library, "_library_path", lambda: "never_opened.so")
    fresh.setattr(tf, "load_op_library", lambda path: pytest.fail("opened a foreign library"))
    status = mtl.ops.native_status()
    assert not status.available
    assert "2.19.1" in status.reason
    assert tf.__version__ in status.reason


def test_a_gpu_with_a_build_without_cuda_is_refused(fresh):
    fresh.setattr(_library, "_bindings", lambda: bindings_of(tf.__version__))
    fresh.setattr(_library, "_library_path", lambda: "never_opened.so")
    fresh.setattr(tf.config, "get_visible_devices", lambda kind=None: ["GPU:0"])
    fresh.setattr(tf, "load_op_library", lambda path: pytest.fail("opened a CPU-only library"))
    status = mtl.ops.native_status()
    assert not status.available
    assert "without CUDA" in status.reason
    assert "CUDA_VISIBLE_DEVICES" in status.reason
    with pytest.warns(RuntimeWarning, match="without CUDA"):
        assert mtl.ops.gramian(ONES)[0, 1] == 11.0


@pytest.mark.parametrize(
    ("cuda_version", "driver", "found"),
    [(13000, 12080, "up to 12.8"), (12040, 11080, "up to 11.8"), (12000, 0, "no libcuda")],
)
def test_a_driver_too_old_for_the_runtime_is_told(fresh, cuda_version, driver, found):
    bindings = bindings_of(tf.__version__, "80-real,90", cuda_version)
    fresh.setattr(_library, "_bindings", lambda: bindings)
    fresh.setattr(_library, "_library_path", lambda: "never_opened.so")
    fresh.setattr(_library, "_driver_version", lambda: driver)
    fresh.setattr(tf.config, "get_visible_devices", lambda kind=None: ["GPU:0"])
    fresh.setattr(tf, "load_op_library", lambda path: pytest.fail("opened a library that fails"))
    assert f"with CUDA {cuda_version // 1000}." in mtl.ops.native_status().reason
    assert found in mtl.ops.native_status().reason
    with pytest.warns(RuntimeWarning, match="Update the driver"):
        assert mtl.ops.gramian(ONES)[0, 1] == 11.0
    fresh.setenv("MTL_TF_NATIVE", "on")
    with pytest.raises(RuntimeError, match="Update the driver"):
        mtl.ops.gramian(ONES)


class Driver:
    """libcuda of CUDA 12.8."""

    def __init__(self, name):
        assert name == "libcuda.so.1"

    def cuDriverGetVersion(self, version):
        version._obj.value = 12080
        return 0


def test_the_driver_is_asked(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", Driver)
    assert _library._driver_version() == 12080
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert _library._driver_version() == 0


def missing(name):
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.parametrize(
    ("gpus", "architectures", "cuda_version", "driver"),
    [
        ([], "", 0, 0),
        ([], "80-real,90", 13000, 12080),
        (["GPU:0"], "80-real,90", 13000, 13000),
        (["GPU:0"], "80-real,90", 12080, 12040),
        (["GPU:0"], "80-real,90", 12080, 13010),
    ],
)
def test_a_library_that_fits_is_opened(fresh, gpus, architectures, cuda_version, driver):
    bindings = bindings_of(tf.__version__, architectures, cuda_version)
    fresh.setattr(_library, "_bindings", lambda: bindings)
    fresh.setattr(_library, "_library_path", lambda: "fits.so")
    fresh.setattr(_library, "_driver_version", lambda: driver)
    fresh.setattr(tf.config, "get_visible_devices", lambda kind=None: gpus)
    fresh.setattr(tf, "load_op_library", lambda path: path)
    assert _library.tensorflow_ops() == "fits.so"
    expected = tuple(architectures.split(",")) if architectures else ()
    assert mtl.ops.native_status().cuda_architectures == expected


def test_damaged_library_is_told(fresh, tmp_path):
    damaged = tmp_path / "_tensorflow_ops.so"
    damaged.write_bytes(b"not a library")
    if _library._bindings() is None:
        pytest.skip("pure-Python install")
    fresh.setattr(_library, "_library_path", lambda: damaged)
    assert str(damaged) in mtl.ops.native_status().reason


def test_importing_does_not_load_the_library():
    code = "import mtl_tf, sys; sys.exit('mtl_tf.ops._kernels' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0
