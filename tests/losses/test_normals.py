"""Absolute error of normalised normals against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.losses import NormalsL1
from tests.losses.cases import assert_equals_truth, inputs, value_and_gradient


def truth(y_true, y_pred, mask):
    unit = y_pred / np.sqrt(np.sum(y_pred**2, axis=-1, keepdims=True))
    return np.mean(np.abs(y_true - unit)[mask > 0])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_equal_float64_truth(seed, masked):
    assert_equals_truth(NormalsL1(), truth, "normals", seed, masked)


def test_oracle_of_the_survey():
    y_true = np.array([[[[0.0, 1, 0], [255, 255, 255]]]])
    y_pred = np.array([[[[3.0, 4, 0], [1, 2, 3]]]])
    np.testing.assert_allclose(NormalsL1()(y_true, y_pred, [[[1, 0]]]), 0.266667, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1e6])
def test_length_of_the_prediction_has_no_influence(scale):
    y_true, y_pred, mask = inputs("normals")
    value, gradient = value_and_gradient(NormalsL1(), y_true, scale * y_pred, mask)
    expected, expected_gradient = value_and_gradient(NormalsL1(), y_true, y_pred, mask)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(scale * gradient, expected_gradient, rtol=1e-3, atol=1e-6)


def test_zero_prediction_has_a_finite_gradient():
    y_true, y_pred, _ = inputs("normals")
    value, gradient = value_and_gradient(NormalsL1(), y_true, 0 * y_pred)
    np.testing.assert_allclose(value, np.mean(np.abs(y_true)), rtol=1e-5)
    assert np.all(np.isfinite(gradient))
