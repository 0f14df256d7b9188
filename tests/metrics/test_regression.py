"""Errors of maps of numbers against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.metrics import RegressionMetrics
from tests.metrics.cases import assert_results, feed, inputs


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_float64_truth(seed):
    y_true, y_pred, mask = inputs("regression", seed)
    y_true[4:] *= 3  # images of different error: a mean over images would differ
    error = np.float64(y_pred)[mask > 0] - y_true[mask > 0]
    expected = {"abs_error": np.mean(np.abs(error)), "rmse": np.sqrt(np.mean(error**2))}
    results = feed(RegressionMetrics(3), y_true, y_pred, mask, sizes=[2, 1, 3])
    assert_results(results, expected)


def test_no_channel_is_refused():
    with pytest.raises(ValueError, match="num_channels"):
        RegressionMetrics(0)
