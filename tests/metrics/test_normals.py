"""Angular errors against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.metrics import NormalsMetrics
from tests.metrics.cases import assert_results, feed, inputs


def angles(y_true, y_pred):
    a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in np.float64([y_true, y_pred]))
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1, 1)))


def truth(y_true, y_pred, mask):
    valid = (mask > 0) & (np.linalg.norm(y_true, axis=-1) > 0)
    angle = np.sort(angles(y_true[valid], y_pred[valid]))
    return {
        "mean": np.mean(angle),
        "median": angle[(len(angle) - 1) // 2],
        "rmse": np.sqrt(np.mean(angle**2)),
        "within_11_25": np.mean(angle < 11.25),
        "within_22_5": np.mean(angle < 22.5),
        "within_30": np.mean(angle < 30),
    }


@pytest.mark.parametrize("noise", [0.1, 0.5, 3.0])
def test_equals_float64_truth(noise):
    y_true, y_pred, mask = inputs("normals")
    y_pred = y_true + noise * y_pred
    y_true[0, :3] = 0.0  # no normal: invalid
    results = feed(NormalsMetrics(), y_true, y_pred, mask, sizes=[3, 1, 2])
    expected = truth(y_true, y_pred, mask)
    assert abs(results.pop("median") - expected.pop("median")) < 0.0051
    assert_results(results, expected)


def turned(degrees):
    """A target along x and a prediction turned by `degrees` about z, `[1, 1, N, 3]` each."""
    angle = np.radians(np.asarray(degrees, np.float64))
    y_pred = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)[None, None]
    return np.broadcast_to([1.0, 0, 0], y_pred.shape), y_pred


@pytest.mark.parametrize("degrees", [0.0, 0.003, 1.0, 90.0, 179.99, 180.0])
def test_angle_is_exact_from_0_to_180_degrees(degrees):
    results = feed(NormalsMetrics(), *turned([degrees] * 3))
    np.testing.assert_allclose(results["mean"], degrees, rtol=1e-5, atol=1e-6)
    assert abs(results["median"] - degrees) < 0.0051


def test_median_withstands_outliers():
    results = feed(NormalsMetrics(), *turned([2.0, 3.0, 4.0, 170.0, 180.0]))
    assert abs(results["median"] - 4.0) < 0.0051


def test_lengths_have_no_influence():
    y_true, y_pred, mask = inputs("normals")
    expected = feed(NormalsMetrics(), y_true, y_pred, mask)
    scale = np.random.default_rng(1).uniform(1e-3, 1e3, (2, *mask.shape, 1)).astype(np.float32)
    assert_results(feed(NormalsMetrics(), scale[0] * y_true, scale[1] * y_pred, mask), expected)


def test_zero_prediction_is_not_right():
    y_true = inputs("normals")[0]
    assert feed(NormalsMetrics(), y_true, 0 * y_true)["mean"] == 90.0
