"""exp and log of the kernels against float64, in units of the last place."""

import numpy as np
import pytest

from tests.ops.implementations import bindings, needs_native

pytestmark = needs_native
LEAST = np.finfo(np.float32).tiny


def last_places(found, truth):
    """Errors in units of the last place of the truth."""
    with np.errstate(over="ignore"):
        near = truth.astype(np.float32)
    unit = np.spacing(np.maximum(np.abs(near), LEAST)).astype(np.float64)
    return np.abs(found.astype(np.float64) - truth) / unit


def sweep(low, high, count=400_001):
    return np.linspace(low, high, count).astype(np.float32)


@pytest.mark.parametrize("span", [(-87.3, 88.72), (-1, 1), (-1e-6, 1e-6), (-20, 20)])
def test_exp_is_right_to_two_units(span):
    x = sweep(*span)
    assert last_places(bindings().vector_exp(x), np.exp(x.astype(np.float64))).max() <= 2


@pytest.mark.parametrize("span", [(1e-3, 3), (0.999, 1.001), (1, 1e6), (1e30, 3e38)])
def test_log_is_right_to_two_units(span):
    x = sweep(*span)
    assert last_places(bindings().vector_log(x), np.log(x.astype(np.float64))).max() <= 2


def test_all_sizes_of_numbers():
    x = np.exp2(np.linspace(-126, 127.99, 100_003)).astype(np.float32)
    assert last_places(bindings().vector_log(x), np.log(x.astype(np.float64))).max() <= 2


def test_below_the_least_normal_number():
    x = sweep(-110, -87.3)
    truth = np.exp(x.astype(np.float64))
    found = bindings().vector_exp(x)
    assert np.all((np.abs(found - truth) <= 2e-45) | (found == 0))
    assert np.all(found[truth < 1e-46] == 0)


def test_special_numbers():
    exp, log = bindings().vector_exp, bindings().vector_log
    special = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 89, 1e30, -1e30, -2], np.float32)
    np.testing.assert_array_equal(exp(special)[:8], [np.nan, np.inf, 0, 1, 1, np.inf, np.inf, 0])
    expected = [np.nan, np.inf, np.nan, -np.inf, -np.inf]
    np.testing.assert_array_equal(log(special)[:5], expected)
    assert np.isnan(log(special)[[7, 8]]).all()


@pytest.mark.parametrize("size", [0, 1, 3, 15, 16, 17, 33])
def test_every_size(size):
    x = np.linspace(-3, 3, size).astype(np.float32)
    np.testing.assert_allclose(bindings().vector_exp(x), np.exp(x), rtol=3e-7)
    np.testing.assert_allclose(bindings().vector_log(np.exp(x)), x, rtol=1e-6, atol=1e-7)
