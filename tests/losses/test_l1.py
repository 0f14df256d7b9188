"""Absolute error of depth against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.losses import L1
from tests.losses.cases import assert_equals_truth


def truth(y_true, y_pred, mask):
    return np.mean(np.abs(y_true - y_pred)[mask > 0])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_equal_float64_truth(seed, masked):
    assert_equals_truth(L1(), truth, "depth", seed, masked)


def test_oracle_of_the_survey():
    y_true, y_pred = np.array([1.5, 255, 4]), np.array([1.0, 2.0, 5.0])
    value = L1()(y_true.reshape(1, 1, 3, 1), y_pred.reshape(1, 1, 3, 1), [[[1, 0, 1]]])
    assert value == 0.75
