"""Mean IoU and F1 of saliency maps against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.metrics import SaliencyMetrics
from tests.metrics.cases import assert_results, feed, inputs


def truth(y_true, y_pred, mask):
    images = [i for i in range(len(mask)) if np.any(mask[i] > 0)]
    miou, f1 = [], []
    for threshold in np.linspace(0.2, 0.9, 15):
        rows = []
        for i in images:
            valid = mask[i] > 0
            target = y_true[i, ..., 0][valid] >= 0.5
            predicted = 1 / (1 + np.exp(-np.float64(y_pred[i, ..., 0][valid]))) >= threshold
            hits, union = np.sum(target & predicted), np.sum(target | predicted)
            rows.append(
                [
                    hits / union if union else 1.0,
                    hits / max(np.sum(predicted), 1),
                    hits / max(np.sum(target), 1),
                ]
            )
        jaccard, precision, recall = np.mean(rows, axis=0)
        miou.append(jaccard)
        f1.append(2 * precision * recall / max(precision + recall, 1e-12))
    return {"miou": max(miou), "max_f": max(f1), "max_f_pooled": pooled(y_true, y_pred, mask)}


def pooled(y_true, y_pred, mask):
    valid = mask > 0
    target = y_true[..., 0][valid] >= 0.5
    score = 1 / (1 + np.exp(-np.float64(y_pred[..., 0][valid])))
    found = []
    for threshold in np.linspace(0.05, 0.95, 19):
        hits = np.sum(target & (score >= threshold))
        precision = hits / max(np.sum(score >= threshold), 1)
        recall = hits / max(np.sum(target), 1)
        found.append(1.3 * precision * recall / max(0.3 * precision + recall, 1e-12))
    return max(found)


@pytest.mark.parametrize("bias", [-4.0, 0.0, 2.0])
def test_equals_float64_truth(bias):
    y_true, y_pred, mask = inputs("saliency")
    y_pred += bias + 3 * y_true  # better than chance, so that the best threshold matters
    y_true[1], y_pred[1] = 0, -9.0  # empty target and prediction: IoU 1
    y_true[2] = 0  # empty target alone: IoU 0
    mask[3] = 0  # left out
    results = feed(SaliencyMetrics(), y_true, y_pred, mask, sizes=[2, 1, 3])
    assert_results(results, truth(y_true, y_pred, mask))


def test_takes_the_best_threshold_for_all_images():
    # scores .3 and .7: image 1 is right from .3 on, image 2 only above .3
    y_pred = np.log([3 / 7, 7 / 3, 3 / 7, 7 / 3]).reshape(2, 1, 2, 1)
    y_true = np.array([1, 1, 0, 1]).reshape(2, 1, 2, 1)
    results = feed(SaliencyMetrics(), y_true, y_pred, sizes=[1, 1])
    np.testing.assert_allclose(results["miou"], 0.75)  # (1 + .5) / 2 or (.5 + 1) / 2, not 1
    np.testing.assert_allclose(results["max_f"], 2 * 0.75 / 1.75)


def test_images_weigh_the_same_whatever_their_valid_area():
    y_true, y_pred = np.ones((2, 4, 4, 1)), np.full((2, 4, 4, 1), 9.0)
    y_pred[1, 0] = -9.0
    mask = np.ones((2, 4, 4))
    mask[1, 2:] = 0  # 4 of the 8 valid pixels of image 2 are detected
    assert feed(SaliencyMetrics(), y_true, y_pred, mask)["miou"] == 0.75
