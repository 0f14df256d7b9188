"""GradDrop and ConFIG against float64 NumPy."""

# ruff: noqa: N803 (J as in the paper)

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.aggregators import config_weights, random_like
from mtl_tf.ops import BalanceStatus
from tests.helpers import ops as truth
from tests.helpers.ops import J2, J3, hard_jacobians, random_jacobian

b = mtl.balancing
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


# === ConFIG ===


def test_config_oracle_values():
    expected = [0.15881, 2.07061, 2.07061]
    np.testing.assert_allclose(b.ConFIG()(tf.constant(J2)), expected, atol=6e-6)
    expected = [-0.02297, 2.51716, 3.25312, 0.13902]
    np.testing.assert_allclose(b.ConFIG()(tf.constant(J3)), expected, atol=6e-6)


@pytest.mark.parametrize("kind", truth.KINDS)
def test_config_is_the_pseudo_inverse_of_the_unit_gradients(kind):
    for num_tasks in (2, 3, 5, 9):
        J = random_jacobian(num_tasks, 5, kind)
        expected = config(J)
        scale = np.linalg.norm(expected)
        np.testing.assert_allclose(b.ConFIG()(tf.constant(J)), expected, atol=1e-9 * scale)
        cosines = (J / np.linalg.norm(J, axis=1)[:, None]) @ expected
        assert np.ptp(cosines) < 1e-9 * scale and cosines.min() > 0


@pytest.mark.parametrize("name", [n for n in HARD if "opposite" not in n and n != "sum is zero"])
def test_config_of_hard_jacobians(name):
    J = HARD[name]
    expected = config(J)
    found = b.ConFIG()(tf.constant(J)).numpy()
    tolerance = 1e-3 if "near" in name else 1e-9
    np.testing.assert_allclose(found, expected, atol=tolerance * np.linalg.norm(J, axis=1).sum())


def test_config_of_opposite_gradients_is_zero():
    """On a straight line there is nothing to gain: whatever way, a task is harmed."""
    r = np.random.default_rng(0)
    for length in (1, 1, 1, *r.uniform(0.1, 10, 50)):
        a = r.standard_normal(6)
        J = np.array([a, -length * a])
        np.testing.assert_allclose(b.ConFIG()(tf.constant(J)), 0, atol=1e-6)
    for name in ("opposite", "opposite, other length", "sum is zero"):
        np.testing.assert_allclose(b.ConFIG()(tf.constant(HARD[name])), 0, atol=1e-6)
    a, _, other = HARD["opposite and a third"]
    alone = other - (other @ a) / (a @ a) * a  # the part of the third that harms neither
    found = b.ConFIG()(tf.constant(HARD["opposite and a third"]))
    np.testing.assert_allclose(found, alone, atol=1e-9)


def test_config_harms_no_task():
    for seed in range(100):
        J = random_jacobian(3 + seed % 3, seed, ("conflict", "lengths")[seed % 2])
        direction = b.ConFIG()(tf.constant(J)).numpy()
        scale = np.linalg.norm(J, axis=1) * np.linalg.norm(direction)
        assert np.all(J @ direction >= -1e-9 * scale), seed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("s", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_config_follows_the_scale_of_the_gradients(s, dtype):
    for num_tasks in (3, 5):
        J = random_jacobian(num_tasks, 11, "conflict")
        expected = config(J)
        found = np.float64(b.ConFIG()(tf.constant(s * J, dtype))) / s
        tolerance = 1e-6 if dtype == "float64" else 1e-4
        assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


def test_config_of_tensors_with_none():
    """Whole tensors that a task does not have count as zero; a tensor nobody has stays `None`."""
    gradients = truth.random_gradients(3, [(2, 3), (), (4,), (5,)], none=0.3, seed=1)
    for row in gradients:
        row[1] = None
    rows = [[None if g is None else tf.constant(g) for g in row] for row in gradients]
    directions, status = b.ConFIG().combine(rows)
    assert status == BalanceStatus.CONVERGED
    expected = truth.split(config(truth.jacobian(gradients)), gradients)
    unit = [None if e is None else np.ones_like(e) for e in expected]
    assert truth.direction_error(directions, expected, unit) < 1e-5
    assert directions[1] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_config_tells_gradients_that_are_not_finite(bad):
    """No exception: under loss scaling they are the way to a smaller scale."""
    J = np.float32(J3)
    J[1, 2] = bad
    directions, status = b.ConFIG().combine([[tf.constant(row)] for row in J])
    assert status == BalanceStatus.NOT_FINITE
    assert not np.any(np.isfinite(directions[0]))


def test_config_weights_of_zero_rows_are_zero():
    J = np.insert(J3, 1, 0, axis=0)
    weights = config_weights(tf.constant(J @ J.T)).numpy()
    assert weights[1] == 0
    alone = config_weights(tf.constant(J3 @ J3.T))
    np.testing.assert_allclose(np.delete(weights, 1), alone, rtol=1e-9)


# === GradDrop ===

SHAPES = [(4, 3), (), (1000,), (2,)]


@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("num_tasks", [1, 2, 4])
def test_graddrop_keeps_one_sign_per_element(leak, num_tasks):
    gradients = truth.random_gradients(num_tasks, SHAPES, none=0.2, seed=num_tasks)
    for row in gradients:
        row[3] = None
    rows = [[None if g is None else tf.constant(g) for g in row] for row in gradients]
    method, generator = b.GradDrop(leak, seed=5), keras.random.SeedGenerator(5)
    drawn = []
    for _ in range(2):
        directions, status = method.combine(rows)
        assert status == BalanceStatus.CONVERGED
        numbers = random_like(rows, generator.next())
        leaks = np.full(num_tasks, leak)
        expected = truth.grad_drop(gradients, numbers, leaks)
        _, margins = truth.grad_drop_shares(gradients, numbers, leaks)
        unit = [None if e is None else np.ones_like(e) for e in expected]
        sure = [m > 1e-5 for m in margins]
        assert truth.direction_error(directions, expected, unit, sure) < 1e-5
        assert directions[3] is None
        drawn.append(directions[2].numpy())
    assert np.array_equal(*drawn) == (leak == 1.0 or num_tasks == 1)


def test_random_like_draws_even_numbers_in_every_tensor():
    rows = [[tf.zeros([5000]), None, tf.zeros([5000])], [None, None, tf.zeros([5000])]]
    one, nothing, other = random_like(rows, tf.constant([3, 4]))
    assert nothing is None
    for numbers in (one, other):
        assert numbers.dtype == tf.float32
        assert numbers.numpy().min() >= 0 and numbers.numpy().max() < 1
        counts = np.histogram(numbers, 10, (0, 1))[0]
        np.testing.assert_allclose(counts, 500, atol=100)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


def test_graddrop_keeps_a_sign_as_often_as_it_is_pure():
    column = np.array([3.0, -1.0, 0.5, 0.0])
    purity = 0.5 * (1 + column.sum() / np.abs(column).sum())
    J = tf.constant(np.repeat(column[:, None], 20_000, axis=1))
    direction = b.GradDrop(seed=0)(J).numpy()
    np.testing.assert_allclose(np.unique(direction), [-1.0, 3.5])
    np.testing.assert_allclose(np.mean(direction > 0), purity, atol=0.01)


@pytest.mark.parametrize("leak", [-0.1, 1.1, np.nan])
def test_bad_arguments_are_told(leak):
    with pytest.raises(ValueError, match=f"leak must be from 0 to 1. Received: {leak}"):
        b.GradDrop(leak)
