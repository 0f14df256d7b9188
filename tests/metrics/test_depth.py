"""Depth errors against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.metrics import DepthMetrics
from tests.metrics.cases import assert_results, feed, inputs


def truth(y_true, y_pred, mask):
    valid = (mask > 0)[..., None] & (y_true > 0)
    target, predicted = np.float64(y_true[valid]), np.maximum(np.float64(y_pred[valid]), 1e-9)
    error, ratio = predicted - target, np.maximum(predicted / target, target / predicted)
    return {
        "rmse": np.sqrt(np.mean(error**2)),
        "log_rmse": np.sqrt(np.mean((np.log(predicted) - np.log(target)) ** 2)),
        "abs_error": np.mean(np.abs(error)),
        "abs_rel": np.mean(np.abs(error) / target),
        **{f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)},
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_float64_truth(seed):
    y_true, y_pred, mask = inputs("depth", seed)
    y_pred[0, :2], y_pred[1, 0] = 0.0, -3.0  # not positive: counted as 1e-9 m
    y_true[2, :3], y_true[3, 0, 0] = 0.0, -1.0  # no depth: invalid
    y_true[4:] *= 3  # images of different error: a mean over images would differ
    results = feed(DepthMetrics(), y_true, y_pred, mask, sizes=[2, 1, 3])
    assert_results(results, truth(y_true, y_pred, mask))


def test_large_predictions_are_not_clipped():
    y_true, y_pred = np.full((1, 2, 2, 1), 1.0), np.full((1, 2, 2, 1), 1001.0)
    assert feed(DepthMetrics(), y_true, y_pred)["rmse"] == 1000.0


def test_delta_is_strictly_below_the_threshold():
    # 1.25 and 1.5625 are exact in binary
    y_true = np.array([1.25, 1.0, 1.0]).reshape(1, 1, 3, 1)
    y_pred = np.array([1.0, 1.5625, 1.0]).reshape(1, 1, 3, 1)
    results = feed(DepthMetrics(), y_true, y_pred)
    np.testing.assert_allclose(
        [results["delta1"], results["delta2"], results["delta3"]], [1 / 3, 2 / 3, 1]
    )
