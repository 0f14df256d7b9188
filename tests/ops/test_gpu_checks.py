"""What `benchmarks.gpu` finds with the kernels of the CPU, and how it bears a broken library."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest

from benchmarks.support.gpu_arrays import JaxArrays
from tests.gpu.correctness import Findings, check_all
from tests.gpu.features import check_features, feature_table
from tests.native.cuda_sources import ROOT
from tests.ops.implementations import bindings, needs_native


class Wrong:
    """Kernels of which one is a little off."""

    def __getattr__(self, name):
        kernel = getattr(bindings(), name)
        if name != "cross_stitch":
            return kernel
        return lambda *a, **k: [np.float32(x) * 1.05 for x in kernel(*a, **k)]


@needs_native
@pytest.mark.parametrize("seed", [1, 1897])  # the second: a gradient that cancels
def test_right_kernels_pass(seed):
    findings = Findings()
    check_features(bindings(), ("float32", "bfloat16", "float16"), seed, findings)
    assert not findings.failures
    assert len(findings.by_kernel) == 5 * 2 * 3


@needs_native
def test_a_wrong_kernel_is_named():
    findings = Findings()
    check_features(Wrong(), ("float32",), 1, findings)
    assert {failure.split(",")[0] for failure in findings.failures} == {"cross_stitch"}
    assert all("values" in failure for failure in findings.failures)


class HostArrays:
    """NumPy arrays instead of the arrays of a GPU library."""

    stream = 0

    def __init__(self, name, dtypes=("float32", "float16")):
        self.name, self.dtypes = name, dtypes

    def array(self, values, dtype):
        return np.asarray(values).astype(dtype)

    def pieces(self, values, starts, sizes, dtype):
        block = self.array(values, dtype)
        return [block[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def host(self, array):
        return np.asarray(array).astype(np.float64)


class BrokenArrays(HostArrays):
    def array(self, values, dtype):
        raise RuntimeError("no kernel image\nfor this device")


class OnHost:
    """The bindings on NumPy arrays, called as those on device arrays are."""

    cuda = property(lambda self: self)

    def __getattr__(self, name):
        kernel = getattr(bindings(), name)

        return lambda *arguments, stream=0, **options: kernel(*arguments, **options)


@needs_native
def test_a_library_that_fails_takes_nothing_with_it():
    found = [HostArrays("first"), BrokenArrays("second"), HostArrays("third")]
    findings = check_all(OnHost(), found, 3, is_tiny=True)
    assert findings.failures == ["arrays of second, any: no kernel image"]
    assert findings.by_kernel["gramian", "float32"].checks > 20
    for dtype in ("float32", "float16"):
        assert findings.by_kernel["gramian: None and infinity", dtype].checks == 4
    assert findings.by_kernel["another shape is refused", "float32"].checks == 1


def test_jax_without_its_plugin_is_no_gpu_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(default_backend=lambda: "cpu"))
    with pytest.raises(RuntimeError, match="runs on the cpu"):
        JaxArrays()


def test_a_table_without_a_row_of_the_kernels():
    row = {
        "op": "cross_stitch",
        "part": "forward",
        "dtype": "bfloat16",
        "form": "jax.jit",
        "milliseconds": 2.0,
        "gigabytes_per_second": 100.0,
    }
    assert "| 2.000 | 100 | 50% | - |" in feature_table([row], 200.0)


def test_a_foreign_package_of_tests_hides_nothing(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks.gpu", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "Correctness and speed" in done.stdout, done.stderr
