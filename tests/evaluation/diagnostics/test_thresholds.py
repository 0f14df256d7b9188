"""Precision and recall at every threshold, against the metrics at single ones."""

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.evaluation.diagnostics.thresholds import Thresholds


@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.06])
def test_the_curve_is_that_of_the_edge_metric(tolerance):
    r = np.random.default_rng(0)
    curve = Thresholds(tolerance)
    images = []
    for _ in range(2):
        target = (r.random((24, 40, 1)) < 0.1).astype(np.float32)
        score = np.clip(0.4 * target + 0.6 * r.random(target.shape), 0.005, 0.995)
        score = (np.floor(score * 100) / 100 + 0.005).astype(np.float32)  # between the thresholds
        valid = r.random(target.shape[:2]) < 0.9
        curve.add(target, score, valid)
        images.append((target, score, valid))
    result = curve.result()
    for i in (4, 29, 59, 84, 94):
        threshold = result["curve"]["threshold"][i]
        metric = mtl.metrics.EdgeMetrics(threshold, tolerance)
        for target, score, valid in images:
            logit = np.log(score / (1 - score))
            metric.update_state(target[None], logit[None], valid[None].astype(np.float32))
        for name, value in metric.result().items():
            assert result["curve"][name][i] == pytest.approx(float(value), abs=1e-6), name
    best = int(np.argmax(result["curve"]["f"]))
    assert result["best"]["f"] == result["curve"]["f"][best]
    assert result["tolerance"] == tolerance


def test_invalid_pixels_neither_count_nor_reach_their_neighbours():
    target = np.array([[[1.0], [0.0], [0.0]]])
    score = np.array([[[0.2], [0.9], [0.0]]])
    curve = Thresholds(tolerance=0.4)  # one pixel
    curve.add(target, score, np.array([[True, False, True]]))
    result = curve.result()["curve"]
    assert result["recall"][49] == 0.0  # the 0.9 beside it is invalid
    assert result["recall"][10] == 1.0 and result["precision"][10] == 1.0


def test_no_positive_pixel_is_no_error():
    curve = Thresholds()
    curve.add(np.zeros((2, 2, 1)), np.full((2, 2, 1), 0.7), np.ones((2, 2), bool))
    assert curve.result()["best"]["f"] == 0.0
