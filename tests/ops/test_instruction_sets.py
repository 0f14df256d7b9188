"""Every instruction set this CPU has gives right results, for all ops and dtypes."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.ops.implementations import STATUS, bindings, needs_native

ORDER = ["baseline", "avx2", "avx512"]
FOLDER = pathlib.Path(__file__).parent


def run(isa, *command):
    environment = {**os.environ, "MTL_TF_CPU_ISA": isa, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True
    )


@needs_native
@pytest.mark.parametrize("isa", ORDER)
def test_every_instruction_set_is_right(isa):
    if ORDER.index(isa) > ORDER.index(STATUS.cpu_isa):
        pytest.skip(f"this CPU has no {isa}")
    done = run(isa, str(FOLDER / "one_instruction_set.py"), bindings().__file__)
    assert done.returncode == 0, done.stderr
    assert done.stdout == isa


@needs_native
def test_float16_subnormals_where_tensorflow_flushes_them():
    """TensorFlow's threads treat subnormal float32 as zero; float16's are not that small."""
    code = (
        "import numpy as np, tensorflow as tf, mtl_tf as mtl\n"
        "small = np.full(300_000, 3 * 2.0**-24, np.float16)\n"
        "value = small.astype('d') ** 2\n"
        "g = tf.constant(small)\n"
        "for jit in (False, True):\n"
        "    f = tf.function(lambda g: (mtl.ops.gramian([[g]]),\n"
        "        mtl.ops.weighted_sum([[g]], [1.0])), jit_compile=jit)\n"
        "    gramian, (total,) = f(g)\n"
        "    np.testing.assert_allclose(gramian[0, 0], value.sum(), rtol=1e-6)\n"
        "    np.testing.assert_array_equal(total, small)\n"
    )
    done = run("baseline", "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr


@needs_native
def test_unknown_instruction_set_is_not_used():
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('_kernels', sys.argv[1])\n"
        "kernels = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(kernels)\n"
        "print(kernels.cpu_isa())\n"
    )
    assert run("avx9000", "-c", code, bindings().__file__).stdout.strip() == STATUS.cpu_isa
