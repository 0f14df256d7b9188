"""`balance` where gradients oppose, repeat, vanish or are not finite: an answer or a fallback."""

# ruff: noqa: N803 (J and G as in the papers)

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops import BalanceStatus
from mtl_tf.ops._balance import METHODS
from tests.helpers import ops as truth
from tests.helpers.ops import J3, random_jacobian
from tests.ops.balance_errors import FAST, HARD, STATIONARY, error, gram
from tests.ops.implementations import ALL, balance


def without_absent(J, weights):
    present = np.any(J != 0, axis=1)
    np.testing.assert_array_equal(weights[~present], 0)
    return J[present], weights[present]


def check_fallback(J, weights, method):
    """What is documented where a method has no solution."""
    G = gram(J)
    if method in ("nash_mtl", "fairgrad"):
        assert truth.mgda_residual(G, weights) < 1e-6
    elif method == "imtl_g":
        norms = np.sqrt(np.diag(G))
        y = np.linalg.pinv(G / np.outer(norms, norms), rcond=1e-10, hermitian=True).sum(axis=1)
        expected = y / norms
        total, magnitude = expected.sum(), np.abs(expected).sum()
        expected = expected / total if abs(total) > 1e-10 * magnitude > 0 else 0 * expected
        np.testing.assert_allclose(weights, expected, atol=1e-6)
    else:
        assert method == "cagrad"
        mean = np.full(len(J), 1 / len(J))
        length = np.linalg.norm(J, axis=1).max()
        assert np.min(weights - mean) >= -1e-12
        # The best that all can gain is 0, and the distance to the mean is within c |g_0|.
        assert np.min(G @ weights / np.sqrt(np.diag(G))) >= -1e-6 * length
        assert (
            np.linalg.norm((weights - mean) @ J) <= 0.4 * np.linalg.norm(mean @ J) + 1e-6 * length
        )


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("method", METHODS)
def test_hard_cases(method, name):
    J = HARD[name]
    weights, status, residual, _ = balance(FAST, gram(J), method)
    assert np.all(np.isfinite(weights))
    J, weights = without_absent(J, weights)
    if len(J) == 0:
        assert (status, residual) == (BalanceStatus.CONVERGED, 0)
        return
    # Zero rows change nothing for the others; the mean is over the others as well.
    alone = balance(FAST, gram(J), method)
    np.testing.assert_allclose(weights, alone[0], rtol=1e-9)
    assert alone[1] == status
    if status == BalanceStatus.FALLBACK:
        assert method in ("nash_mtl", "fairgrad", "imtl_g", "cagrad")
        check_fallback(J, weights, method)
        return
    # What is left of a length where gradients cancel is rounding: no method can be more exact.
    rounding = 1e-3 if "near-opposite" in name else 1e-6
    if rounding == 1e-6 or method not in ("nash_mtl", "fairgrad"):
        assert status == BalanceStatus.CONVERGED
    assert (residual <= 1e-8) == (status == BalanceStatus.CONVERGED)
    if method == "cagrad" and np.linalg.norm(J.sum(axis=0)) < 1e-9 * np.abs(J).max():
        np.testing.assert_allclose(weights, 1 / len(J))  # no room around a mean of zero
        return
    if method == "aligned_mtl" and "near" in name:
        return  # an eigenvalue at the edge of rounding; see test_near_dependence
    assert error(J, weights, method) <= rounding


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize("method", ["nash_mtl", "fairgrad", "imtl_g"])
def test_fallback_is_told(method, name):
    assert balance(FAST, gram(HARD[name]), method)[1] == BalanceStatus.FALLBACK


@pytest.mark.parametrize("method", ["nash_mtl", "fairgrad"])
def test_exactly_opposite_gradients_are_a_fallback_for_any_numbers(method):
    """Also where the cosine is rounded to -1 + 1e-16."""
    r = np.random.default_rng(0)
    converged = 0
    for length in (1, 1, 1, *r.uniform(0.1, 10, 100)):
        a = r.standard_normal(6)
        converged += balance(FAST, gram(np.array([a, -length * a])), method)[1] == 0
    assert converged == 0


@pytest.mark.parametrize(
    "method", sorted(set(METHODS) - {"nash_mtl", "fairgrad", "imtl_g", "cagrad"})
)
def test_no_fallback_is_needed(method):
    for J in HARD.values():
        assert balance(FAST, gram(J), method)[1] == BalanceStatus.CONVERGED


def test_duplicates_share_what_one_gets():
    a, b = np.random.default_rng(0).standard_normal((2, 6))
    for method in ("mgda", "imtl_g"):
        two = balance(FAST, gram(np.array([a, b])), method)[0] @ np.array([a, b])
        J = np.array([a, a, b])
        np.testing.assert_allclose(balance(FAST, gram(J), method)[0] @ J, two, rtol=1e-9)


def test_opposite_by_hand():
    G = gram(np.array([[1.0, 0], [-1, 0]]))
    expected = {
        "mgda": [0.5, 0.5],
        "upgrad": [1, 1],
        "dualproj": [0.5, 0.5],
        "pcgrad": [2, 2],
        "gradvac": [2, 2],
        "cagrad": [0.5, 0.5],
        "nash_mtl": [0.5, 0.5],
        "fairgrad": [0.5, 0.5],
        "imtl_g": [0, 0],
        "aligned_mtl": [0, 0],
    }
    for method, weights in expected.items():
        np.testing.assert_allclose(balance(FAST, G, method)[0], weights, atol=1e-12, err_msg=method)


def test_reference_takes_defaults_after_tensors_of_unknown_shape():
    """A trace made for tensors of any shape is not used for a parameter that is not given."""
    G = gram(random_jacobian(6, 0))
    for method, name, value, dtype in [
        ("pcgrad", "order", truth.ascending_order(6), tf.int32),
        ("gradvac", "order", truth.ascending_order(6), tf.int32),
        ("dualproj", "preference", np.full(6, 1 / 6), tf.float64),
        ("gradvac", "targets", np.zeros((6, 6)), tf.float64),
    ]:
        spec = [None] * value.ndim
        call = tf.function(
            lambda G, x, method=method, name=name: mtl.ops.reference.balance(
                G, method, **{name: x}
            ),
            input_signature=[tf.TensorSpec([None, None], tf.float64), tf.TensorSpec(spec, dtype)],
            autograph=False,
        )
        expected = call(tf.constant(G), tf.constant(value, dtype))
        default = tf.function(
            lambda G, method=method: mtl.ops.reference.balance(G, method),
            input_signature=[tf.TensorSpec([None, None], tf.float64)],
            autograph=False,
        )
        np.testing.assert_allclose(default(tf.constant(G)), expected, rtol=1e-12)


def test_near_dependence():
    """Aligned-MTL on rows of lengths 1 and 1e-5 apart in direction, by singular values."""
    r = np.random.default_rng(0)
    J = np.vstack([r.standard_normal(6)] * 3) + 1e-3 * r.standard_normal((3, 6))
    for scale in ("min", "median", "mean"):
        weights = balance(FAST, gram(J), "aligned_mtl", scale=scale)[0]
        assert error(J, weights, "aligned_mtl", scale=scale) < 1e-6


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gramian_that_is_not_finite(implementation, bad):
    G = gram(J3)
    G[0, 2] = G[2, 0] = bad
    targets = np.full((3, 3), 0.25)
    for method in METHODS:
        parameters = {"targets": targets} if method == "gradvac" else {}
        weights, status, _, new_targets = balance(implementation, G, method, **parameters)
        assert status == BalanceStatus.NOT_FINITE
        assert np.all(np.isnan(weights))
        if method == "gradvac":
            np.testing.assert_array_equal(new_targets, targets)


@pytest.mark.parametrize("method", METHODS)
def test_one_task(method):
    # 4 w = 1 / w; CAGrad moves along the mean to its bound.
    expected = {"nash_mtl": 0.5, "fairgrad": 0.5, "cagrad": 1.4}.get(method, 1.0)
    for implementation in ALL:
        weights, status, _, _ = balance(implementation, np.array([[4.0]]), method)
        assert status == BalanceStatus.CONVERGED
        np.testing.assert_allclose(weights, [expected], rtol=1e-12)
