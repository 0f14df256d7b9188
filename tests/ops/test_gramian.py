"""The Gramian: native op, reference and binding against float64 NumPy."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops import _library

SHAPES = [(), (1,), (3, 5), (2, 3, 4, 5), (1023,), (1025,), (70_001,)]
needs_native = pytest.mark.skipif(
    not mtl.ops.native_status().available, reason=mtl.ops.native_status().reason or "native"
)


def random_gradients(num_tasks, dtype=np.float32, seed=0):
    r = np.random.default_rng(seed)
    return [[r.standard_normal(s).astype(np.float32).astype(dtype) for s in SHAPES]
            for _ in range(num_tasks)]  # fmt: skip


def truth(gradients):
    rows = []
    for task in gradients:
        present = [
            np.zeros(s) if g is None else np.float64(g) for g, s in zip(task, SHAPES, strict=True)
        ]
        rows.append(np.concatenate([g.ravel() for g in present]))
    jacobian = np.stack(rows)
    return jacobian @ jacobian.T


def relative_error(gramian, expected):
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    return np.max(np.abs(np.asarray(gramian) - expected) / np.maximum(scale, 1e-300))


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 4, 5, 7, 8, 13, 32])
@pytest.mark.parametrize("function", [mtl.ops.gramian, mtl.ops.reference.gramian])
def test_equals_float64_truth(function, num_tasks):
    gradients = random_gradients(num_tasks, seed=num_tasks)
    gramian = function(gradients)
    assert gramian.dtype == tf.float64
    assert relative_error(gramian, truth(gradients)) < 1e-6
    np.testing.assert_array_equal(gramian, tf.transpose(gramian))


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_other_dtypes_equal_the_reference(dtype):
    gradients = [[tf.cast(g, dtype) for g in task] for task in random_gradients(3)]
    expected = truth([[g.numpy().astype(np.float64) for g in task] for task in gradients])
    assert relative_error(mtl.ops.gramian(gradients), expected) < 1e-6


def test_float16_subnormals_infinity_and_nan():
    values = np.array([2.0**-24, 3 * 2.0**-24, 2.0**-14, 65504.0, 0.0, -1.5], np.float16)
    gramian = mtl.ops.gramian([[tf.constant(values)]])
    np.testing.assert_allclose(gramian[0, 0], np.sum(values.astype(np.float64) ** 2), rtol=1e-6)
    assert np.isinf(mtl.ops.gramian([[tf.constant(np.array([np.inf], np.float16))]])[0, 0])
    assert np.isnan(mtl.ops.gramian([[tf.constant(np.array([np.nan], np.float16))]])[0, 0])


def test_none_is_zero_and_dtypes_may_differ_between_variables():
    gradients = random_gradients(3)
    gradients[0][2] = None
    gradients[2][6] = None
    for task in gradients:
        task[5] = task[5].astype(np.float16)
    assert relative_error(mtl.ops.gramian(gradients), truth(gradients)) < 1e-6
    assert not np.any(mtl.ops.gramian([[None], [None]]))


def test_inside_a_function_the_shape_is_known():
    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None, 4])])
    def build(a, b):
        gramian = mtl.ops.gramian([[a], [b]])
        assert gramian.shape == (2, 2)
        return gramian

    a, b = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(build(a, b)[0, 1], np.sum(a * b), rtol=1e-5)


def test_gradient_equals_the_reference():
    gradients = [[tf.constant(g) for g in task[2:4]] for task in random_gradients(3)]
    results = []
    for function in (mtl.ops.gramian, mtl.ops.reference.gramian):
        with tf.GradientTape() as tape:
            tape.watch(gradients)
            value = tf.reduce_sum(function(gradients) * tf.constant([[1.0, 2, 3]] * 3, tf.float64))
        results.append(tf.nest.flatten(tape.gradient(value, gradients)))
    for native, reference in zip(*results, strict=True):
        np.testing.assert_allclose(native, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([], "at least one task"),
        ([[tf.ones(2)], []], "lengths"),
        ([[tf.ones(2)], [tf.ones(3)]], "one shape"),
    ],
)
def test_bad_input_is_told(gradients, message):
    for function in (mtl.ops.gramian, mtl.ops.reference.gramian):
        with pytest.raises(ValueError, match=message):
            function(gradients)


@needs_native
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_is_right(isa):
    code = (
        "import importlib.util, sys, numpy as np\n"
        "spec = importlib.util.spec_from_file_location('_kernels', sys.argv[1])\n"
        "kernels = importlib.util.module_from_spec(spec); spec.loader.exec_module(kernels)\n"
        "r = np.random.default_rng(0)\n"
        "for dtype in (np.float32, np.float16):\n"
        "    for k in (1, 2, 5, 9):\n"
        "        J = r.standard_normal((k, 70001)).astype(dtype)\n"
        "        G = kernels.gramian([[row] for row in J], num_threads=2)\n"
        "        E = J.astype('d') @ J.astype('d').T\n"
        "        assert abs(G - E).max() < 1e-6 * E.max(), (dtype, k)\n"
        "        assert (G == kernels.gramian([[row] for row in J], num_threads=1)).all()\n"
        "print(kernels.cpu_isa())\n"
    )
    path = _library._bindings().__file__
    environment = {**os.environ, "MTL_TF_CPU_ISA": isa}
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    order = ["baseline", "avx2", "avx512"]
    assert order.index(done.stdout.strip()) <= order.index(isa)


@needs_native
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([], "at least one task"),
        ([[np.ones(2)]], "float64"),
        ([[np.ones(2, "f")], [np.ones(3, "f")]], "elements"),
        ([[np.ones(2, "f")], [np.ones(2, np.float16)]], "dtype"),
        ([[np.ones((4, 4), "f")[:, ::2]]], "contiguous"),
        ([[np.frombuffer(bytearray(41), "f", 10, 1)]], "aligned"),
        ([[np.ones(2, "f")], []], "tensors"),
    ],
)
def test_binding_tells_bad_input(gradients, message):
    with pytest.raises(ValueError, match=message):
        _library._bindings().gramian(gradients)
