"""`balance`: all implementations give one answer, and no gradient."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops._balance import METHODS
from tests.helpers.ops import J3, KINDS, random_jacobian
from tests.ops.balance_errors import HARD, VARIANTS, direction_error, gram, name_of
from tests.ops.implementations import ALL, balance, needs_native


@pytest.mark.parametrize("implementation", ALL[1:])
@pytest.mark.parametrize(("method", "parameters"), VARIANTS, ids=name_of)
def test_every_implementation_gives_one_answer(implementation, method, parameters):
    if implementation in ("eager", "xla") and parameters:
        pytest.skip("the parameters are tensors like any other")
    random = [random_jacobian(k, 50 + k, KINDS[k % 3]) for k in (2, 3, 5, 9, 20)]
    cases = {**HARD, **{f"random {len(J)}": J for J in random}}
    if implementation == "xla":
        cases = {name: cases[name] for name in ("random 3", "opposite", "a zero row")}
    wrong = []
    for name, J in cases.items():
        expected, status, _, _ = balance("binding", gram(J), method, **parameters)
        weights, own_status, _, _ = balance(implementation, gram(J), method, **parameters)
        is_edge = "near" in name and method in ("nash_mtl", "fairgrad", "imtl_g", "aligned_mtl")
        # What is left of G w after cancellation: nothing float64 could hold.
        is_edge |= method == "fairgrad" and name == "lengths 1e6 to 1e-6, conflict"
        if own_status != status and not is_edge:
            wrong.append((name, "status", int(own_status), status))
        if implementation != "reference":
            np.testing.assert_allclose(weights, expected, rtol=1e-12, err_msg=name)
        elif is_edge and method in ("nash_mtl", "fairgrad"):
            np.testing.assert_allclose(weights, expected, rtol=1e-3, err_msg=name)
        elif method == "aligned_mtl" and not is_edge:
            off = np.max(np.abs(weights - expected)) / max(np.max(np.abs(expected)), 1 / len(J))
            # TensorFlow's eigenvalues are right to a part of the greatest one.
            lengths = np.linalg.svd(J, compute_uv=False)
            least = lengths[lengths > 1e-7 * lengths[0]].min(initial=lengths[0])
            condition = (lengths[0] / least) ** 2 if least else 1.0
            if off > max(1e-9, np.finfo(float).eps * condition):
                wrong.append((name, "weights", off))
        elif not is_edge and direction_error(J, weights, expected @ J) > 1e-6:
            wrong.append((name, "direction", direction_error(J, weights, expected @ J)))
    assert not wrong


@needs_native
def test_native_does_not_need_a_float64_gramian():
    for dtype in (tf.float32, tf.bfloat16, tf.float16):
        G = tf.cast(gram(J3), dtype)
        report = mtl.ops.balance_report(G, "mgda")
        assert report.weights.dtype == dtype
        assert report.residual.dtype == report.targets.dtype == tf.float64
        np.testing.assert_allclose(
            tf.cast(report.weights, tf.float32), [0.4535, 0.35358, 0.19292], atol=0.01
        )


@pytest.mark.parametrize("function", [mtl.ops.balance, mtl.ops.reference.balance])
def test_no_gradient_passes(function):
    G = tf.constant(gram(J3))
    for method in METHODS if function is mtl.ops.balance else ("aligned_mtl", "pcgrad"):
        with tf.GradientTape() as tape:
            tape.watch(G)
            weights = function(G, method)
        assert tape.gradient(weights, G) is None


@functools.cache
def spellings():
    return {
        "nash_mtl": ["NashMTL", "nash-mtl", "Nash-MTL", "nashmtl", "NASH_MTL"],
        "aligned_mtl": ["AlignedMTL", "Aligned-MTL"],
        "imtl_g": ["IMTL-G", "IMTLG"],
        "mgda": ["MGDA"],
        "upgrad": ["UPGrad"],
        "cagrad": ["CAGrad"],
        "pcgrad": ["PCGrad"],
        "gradvac": ["GradVac"],
        "dualproj": ["DualProj"],
        "fairgrad": ["FairGrad"],
    }


def test_spellings():
    assert set(spellings()) == set(METHODS)
    for name, others in spellings().items():
        expected = mtl.ops.balance(gram(J3), name)
        for other in others:
            np.testing.assert_array_equal(mtl.ops.balance(gram(J3), other), expected)
