"""ConFIG against the pseudo-inverse of the unit gradients in float64 NumPy."""

# ruff: noqa: N803 (J as in the paper)

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.weightings.con_fig import config_weights
from mtl_tf.ops import BalanceStatus
from tests.helpers import ops as truth
from tests.helpers.ops import J3, hard_jacobians, random_jacobian

HARD = hard_jacobians()


def config(J):
    """ConFIG as in the paper: the pseudo-inverse of the unit gradients, and its length."""
    norms = np.linalg.norm(J, axis=1)
    J = J[norms > 0]
    if len(J) == 0:
        return np.zeros(J.shape[1])
    u = np.linalg.pinv(J / norms[norms > 0, None], rcond=1e-10) @ np.ones(len(J))
    u /= np.linalg.norm(u)
    return np.sum(J @ u) * u


def direction(J):
    """The direction of the weights in float64."""
    return mtl.balancing.ConFIG()(tf.constant(J @ J.T)).numpy() @ J


def step(task_gradients):
    """The direction as a training step gets it, and the status."""
    report = mtl.balancing.ConFIG().report(mtl.ops.gramian(task_gradients))
    return mtl.ops.weighted_sum(task_gradients, report.weights), report.status


@pytest.mark.parametrize("kind", truth.KINDS)
def test_it_is_the_pseudo_inverse_of_the_unit_gradients(kind):
    for num_tasks in (2, 3, 5, 9):
        J = random_jacobian(num_tasks, 5, kind)
        expected = config(J)
        scale = np.linalg.norm(expected)
        np.testing.assert_allclose(direction(J), expected, atol=1e-9 * scale)
        cosines = (J / np.linalg.norm(J, axis=1)[:, None]) @ direction(J)
        assert np.ptp(cosines) < 1e-9 * scale and cosines.min() > 0


@pytest.mark.parametrize("name", [n for n in HARD if "opposite" not in n and n != "sum is zero"])
def test_hard_jacobians(name):
    J = HARD[name]
    tolerance = 1e-3 if "near" in name else 1e-9
    tolerance *= np.linalg.norm(J, axis=1).sum()
    np.testing.assert_allclose(direction(J), config(J), atol=tolerance)


def test_opposite_gradients_give_zero_and_a_fallback():
    """On a straight line there is nothing to gain: whatever way, a task is harmed."""
    r = np.random.default_rng(0)
    for length in (1, 1, 1, *r.uniform(0.1, 10, 50)):
        a = r.standard_normal(6)
        np.testing.assert_allclose(direction(np.array([a, -length * a])), 0, atol=1e-6)
    for name in ("opposite", "opposite, other length", "sum is zero"):
        np.testing.assert_allclose(direction(HARD[name]), 0, atol=1e-6)
        report = config_weights(tf.constant(HARD[name] @ HARD[name].T))
        assert report.status == BalanceStatus.FALLBACK
    a, _, other = HARD["opposite and a third"]
    alone = other - (other @ a) / (a @ a) * a  # the part of the third that harms neither
    np.testing.assert_allclose(direction(HARD["opposite and a third"]), alone, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("s", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_the_direction_follows_the_scale_of_the_gradients(s, dtype):
    for num_tasks in (3, 5):
        J = random_jacobian(num_tasks, 11, "conflict")
        expected = config(J)
        (found,), status = step([[row] for row in tf.unstack(tf.constant(s * J, dtype))])
        assert status == BalanceStatus.CONVERGED
        tolerance = 1e-6 if dtype == "float64" else 1e-4
        off = np.linalg.norm(np.float64(found) / s - expected)
        assert off < tolerance * np.linalg.norm(expected)


def test_tensors_with_none():
    """Whole tensors that a task does not have count as zero; a tensor nobody has stays `None`."""
    gradients = truth.random_gradients(3, [(2, 3), (), (4,), (5,)], none=0.3, seed=1)
    for row in gradients:
        row[1] = None
    directions, status = step(
        [[None if g is None else tf.constant(g) for g in row] for row in gradients]
    )
    assert status == BalanceStatus.CONVERGED
    expected = truth.split(config(truth.jacobian(gradients)), gradients)
    unit = [None if e is None else np.ones_like(e) for e in expected]
    assert truth.direction_error(directions, expected, unit) < 1e-5
    assert directions[1] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_told(bad):
    """No exception: under loss scaling they are the way to a smaller scale."""
    J = np.float32(J3)
    J[1, 2] = bad
    directions, status = step([[tf.constant(row)] for row in J])
    assert status == BalanceStatus.NOT_FINITE
    assert not np.any(np.isfinite(directions[0]))


def test_weights_of_zero_rows_are_zero():
    J = np.insert(J3, 1, 0, axis=0)
    weights = config_weights(tf.constant(J @ J.T)).weights.numpy()
    assert weights[1] == 0
    alone = config_weights(tf.constant(J3 @ J3.T)).weights
    np.testing.assert_allclose(np.delete(weights, 1), alone, rtol=1e-9)


def test_weights_that_add_up_to_zero_are_found():
    """By weights of sum 1, as IMTL-G has them, this direction could not be reached."""
    U = np.array([[0.5, 0.75**0.5, 0], [0.5, -(0.75**0.5), 0], [0.96, 0, 0.28]])  # a wide fan
    y = np.linalg.solve(U @ U.T, np.ones(3))
    assert y[2] < 0 < y[0]
    J = U * np.where(y > 0, 1.0, -y[2] / (y[0] + y[1]))[:, None]  # so sum(y / lengths) = 0
    lengths = np.linalg.norm(J, axis=1)
    np.testing.assert_allclose(np.sum(y / lengths), 0, atol=1e-12)
    np.testing.assert_allclose(direction(J), config(J), atol=1e-12)
