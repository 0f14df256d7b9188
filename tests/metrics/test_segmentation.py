"""Mean IoU and pixel accuracy against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.metrics import SegmentationMetrics
from tests.metrics.cases import assert_results, feed, inputs


def truth(y_true, y_pred, mask, num_classes, skip_background_images=False):
    targets, predictions = [], []
    for label, logits, valid in zip(y_true[..., 0], y_pred, mask > 0, strict=True):
        if skip_background_images and not np.any(label[valid] > 0):
            continue
        targets += list(label[valid])
        predictions += list(np.argmax(logits, axis=-1)[valid])
    target, predicted = np.array(targets), np.array(predictions)
    iou = []
    for c in range(num_classes):
        tp = np.sum((target == c) & (predicted == c))
        fp = np.sum((target != c) & (predicted == c))
        fn = np.sum((target == c) & (predicted != c))
        iou.append(tp / max(tp + fp + fn, 1e-8))
    return {"miou": np.mean(iou), "pixel_accuracy": np.mean(target == predicted)}


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_float64_truth(seed, skip):
    y_true, y_pred, mask = inputs("segmentation", seed)
    y_true[1] = 0  # background only
    y_true[2][mask[2] > 0] = 0  # classes above 0 only under invalid pixels
    results = feed(SegmentationMetrics(4, skip), y_true, y_pred, mask, sizes=[1, 3, 2])
    assert_results(results, truth(y_true, y_pred, mask, 4, skip))


def test_skipping_background_images_changes_the_result():
    y_true, y_pred, mask = inputs("segmentation")
    y_true[1] = 0
    skipped = feed(SegmentationMetrics(4, skip_background_images=True), y_true, y_pred, mask)
    kept = feed(
        SegmentationMetrics(4),
        np.delete(y_true, 1, 0),
        np.delete(y_pred, 1, 0),
        np.delete(mask, 1, 0),
    )
    assert skipped == kept
    assert feed(SegmentationMetrics(4), y_true, y_pred, mask) != kept


def test_class_never_present_and_never_predicted_counts_0():
    y_true = np.array([[[[0], [1]]]])
    y_pred = np.eye(4)[[0, 1]].reshape(1, 1, 2, 4)
    assert feed(SegmentationMetrics(4), y_true, y_pred) == {"miou": 0.5, "pixel_accuracy": 1.0}


def test_pools_over_images_instead_of_averaging_per_image():
    # image 1: class 0 right on both pixels; image 2: one pixel each of 0 (right) and 1 (as 0)
    y_true = np.array([[[0, 0]], [[0, 1]]])[..., None]
    y_pred = np.eye(2)[np.zeros((2, 1, 2), int)]
    results = feed(SegmentationMetrics(2), y_true, y_pred, sizes=[1, 1])
    assert results == {"miou": 3 / 4 / 2, "pixel_accuracy": 3 / 4}


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="Received: 1"):
        SegmentationMetrics(1)
