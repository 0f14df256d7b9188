"""GradDrop against float64 NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.aggregators.graddrop import random_like
from mtl_tf.ops import BalanceStatus
from tests.helpers import ops as truth

b = mtl.balancing
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
        directions, status = method.compute_direction(rows)
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
