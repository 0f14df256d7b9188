"""Scores of classes, the confusion matrix, and reliability, against direct counts."""

import numpy as np

from mtl_tf.evaluation.diagnostics.classes import class_scores, confusion_shares
from mtl_tf.evaluation.diagnostics.reliability import Reliability


def test_scores_of_classes_are_those_of_the_pixels():
    r = np.random.default_rng(0)
    target, predicted = r.integers(0, 4, (2, 500))
    predicted[predicted == 2] = 1  # class 2 is never predicted
    confusion = np.zeros((5, 5), int)  # class 4 exists nowhere
    np.add.at(confusion, (target, predicted), 1)
    rows = class_scores(confusion, ("a", "b", "c"))
    assert [row["name"] for row in rows] == ["a", "b", "c", "3", "4"]
    for c, row in enumerate(rows[:4]):
        both, either = (target == c) & (predicted == c), (target == c) | (predicted == c)
        assert row["iou"] == both.sum() / either.sum()
        assert row["recall"] == both.sum() / (target == c).sum()
        assert row["share"] == (target == c).mean()
    assert rows[2]["precision"] is None and rows[2]["iou"] == 0.0
    assert rows[4]["iou"] is None and rows[4]["recall"] is None
    shares = confusion_shares(confusion)
    np.testing.assert_allclose(shares.sum(1), [1, 1, 1, 1, 0])
    np.testing.assert_allclose(shares[0, 1], ((target == 0) & (predicted == 1)).sum()
                               / (target == 0).sum())  # fmt: skip


def test_reliability_of_a_calibrated_network_is_the_diagonal():
    r = np.random.default_rng(1)
    confidence = r.uniform(0.5, 1.0, (300, 400))
    target = np.where(r.random(confidence.shape) < confidence, 0, 1)[..., None]
    probabilities = np.stack([confidence, 1 - confidence], -1)
    reliability = Reliability()
    for rows in (slice(0, 100), slice(100, 300)):  # any split into images
        valid = np.ones(target[rows].shape[:2], bool)
        reliability.add(target[rows], probabilities[rows], valid)
    result = reliability.result()
    assert result["calibration_error"] < 0.01
    assert len(result["bins"]) == 8 and abs(sum(b["share"] for b in result["bins"]) - 1) < 1e-9
    for row in result["bins"]:
        assert abs(row["confidence"] - row["accuracy"]) < 0.02


def test_reliability_of_an_overconfident_network():
    target = np.array([[[0], [1], [1], [1]]])
    sure = np.tile([1.0, 0.0], (1, 4, 1))
    reliability = Reliability()
    reliability.add(target, sure, np.array([[True, True, True, False]]))
    assert reliability.result() == {
        "bins": [{"confidence": 1.0, "accuracy": 1 / 3, "share": 1.0}],
        "calibration_error": 2 / 3,
    }


def test_nothing_valid_is_no_error():
    reliability = Reliability()
    reliability.add(np.zeros((1, 2, 1), int), np.ones((1, 2, 3)) / 3, np.zeros((1, 2), bool))
    assert reliability.result() == {"bins": [], "calibration_error": 0.0}
