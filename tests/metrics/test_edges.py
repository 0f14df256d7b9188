"""F of edges with tolerance against brute-force NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from mtl_tf.metrics import EdgeMetrics
from tests.metrics.cases import assert_results, feed, inputs


def truth(y_true, y_pred, mask, threshold, radius):
    right = predictions = found = targets = 0
    for label, logit, valid in zip(y_true[..., 0], y_pred[..., 0], mask > 0, strict=True):
        target = np.argwhere((label >= 0.5) & valid)
        predicted = np.argwhere((1 / (1 + np.exp(-np.float64(logit))) >= threshold) & valid)
        close = np.abs(target[:, None] - predicted[None]).max(axis=-1) <= radius
        right, predictions = right + np.sum(close.any(axis=0)), predictions + len(predicted)
        found, targets = found + np.sum(close.any(axis=1)), targets + len(target)
    precision, recall = right / predictions, found / targets
    return {
        "f": 2 * precision * recall / (precision + recall),
        "precision": precision,
        "recall": recall,
    }


@pytest.mark.parametrize("threshold", [0.5, 0.8])
@pytest.mark.parametrize("radius", [0, 1, 3])
def test_equals_brute_force_truth(radius, threshold):
    y_true, y_pred, mask = inputs("edges", shape=(4, 20, 30))
    y_true[0, :15], y_true[2:] = 0.0, y_true[2:] * (np.arange(30) % 7 == 0)[:, None]
    y_pred[1:] -= 2
    metric = EdgeMetrics(threshold, tolerance=radius / math.hypot(20, 30))
    results = feed(metric, y_true, y_pred, mask, sizes=[1, 2, 1])
    assert_results(results, truth(y_true, y_pred, mask, threshold, radius))


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_default_tolerance_is_one_pixel_at_288x384(shift, expected):
    y_true, y_pred = np.zeros((1, 288, 384, 1)), np.full((1, 288, 384, 1), -9.0)
    y_true[:, 100, 50:60] = 1
    y_pred[:, 100 + shift, 50:60] = 9
    assert feed(EdgeMetrics(), y_true, y_pred)["f"] == expected


def test_invalid_edges_match_nothing():
    y_true, y_pred, mask = np.zeros((1, 3, 3, 1)), np.full((1, 3, 3, 1), -9.0), np.ones((1, 3, 3))
    y_true[0, 1, 1], y_pred[0, 1, 2], mask[0, 1, 1] = 1, 9, 0
    results = feed(EdgeMetrics(tolerance=0.25), y_true, y_pred, mask)
    assert results == {"f": 0.0, "precision": 0.0, "recall": 0.0}


@pytest.mark.parametrize("tolerance", [0.0, 0.03, 0.1])
def test_unknown_height_and_width_give_the_same_numbers(tolerance):
    known, unknown = EdgeMetrics(tolerance=tolerance), EdgeMetrics(tolerance=tolerance)
    spec = tf.TensorSpec((None, None, None, 1))
    update = tf.function(unknown.update_state, input_signature=[spec, spec])
    pair = inputs("edges")[:2]
    update(*pair)
    known.update_state(*pair)
    assert known.result() == unknown.result()
    assert 0 < float(known.result()["f"]) < 1


@pytest.mark.parametrize("arguments", [{"threshold": 0.0}, {"threshold": 1}, {"tolerance": -0.1}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        EdgeMetrics(**arguments)
