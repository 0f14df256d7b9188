"""Softmax cross-entropy against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.losses import SegmentationCrossEntropy
from mtl_tf.ops import bilinear
from tests.losses.cases import assert_equals_truth, inputs


def truth(y_true, y_pred, mask):
    total = 0.0
    for i in np.argwhere(mask > 0):
        logits = y_pred[tuple(i)]
        label = int(y_true[tuple(i)][0])
        total += np.log(np.sum(np.exp(logits - logits[label])))
    return total / np.sum(mask)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_equal_float64_truth(seed, masked):
    assert_equals_truth(SegmentationCrossEntropy(), truth, "segmentation", seed, masked)


def test_oracle_of_the_survey():
    # log(e + e^2 + 1) = 2.407606 is the loss of the logit 0
    value = SegmentationCrossEntropy()([[[[2]]]], np.array([[[[1.0, 2.0, 0.0]]]]))
    np.testing.assert_allclose(value, 2.407606, atol=1e-6)


def test_large_logits_do_not_overflow():
    value = SegmentationCrossEntropy()([[[[1], [0]]]], np.array([[[[1e4, -1e4], [1e4, -1e4]]]]))
    assert value == 1e4


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_labels_of_any_dtype(dtype):
    y_true, y_pred, mask = inputs("segmentation")
    expected = SegmentationCrossEntropy()(y_true, y_pred, mask)
    assert SegmentationCrossEntropy()(y_true.astype(dtype), y_pred, mask) == expected


# === Class weights and label smoothing ===

CLASS_WEIGHTS = (0.5, 3.0, 1.0, 2.0, 0.1)


def general_truth(y_true, y_pred, mask, class_weights=None, smoothing=0.0):
    total = norm = 0.0
    for i in np.argwhere(mask > 0):
        logits = y_pred[tuple(i)]
        log_p = logits - logits.max() - np.log(np.sum(np.exp(logits - logits.max())))
        label = int(y_true[tuple(i)][0])
        weight = mask[tuple(i)] * (1.0 if class_weights is None else class_weights[label])
        total += weight * -((1 - smoothing) * log_p[label] + smoothing * log_p.mean())
        norm += weight
    return total / norm


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_weights_and_smoothing_equal_float64_truth(weighted, smoothing):
    classes = inputs("segmentation")[1].shape[-1]
    class_weights = np.resize(CLASS_WEIGHTS, classes) if weighted else None
    loss = SegmentationCrossEntropy(class_weights, smoothing)

    def expected(y_true, y_pred, mask):
        return general_truth(y_true, y_pred, mask, class_weights, smoothing)

    assert_equals_truth(loss, expected, "segmentation", 0, True)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_of_upsampled_is_the_loss_of_the_upsampled(smoothing):
    r = np.random.default_rng(0)
    labels = r.integers(0, 5, (2, 8, 12, 1))
    small = r.standard_normal((2, 4, 6, 5)).astype(np.float32)
    mask = (r.uniform(size=(2, 8, 12)) > 0.3).astype(np.float32)
    loss = SegmentationCrossEntropy(CLASS_WEIGHTS, smoothing)
    upsampled = np.asarray(bilinear(small, 8, 12))
    expected = general_truth(labels, upsampled.astype(np.float64), mask, CLASS_WEIGHTS, smoothing)
    np.testing.assert_allclose(loss.of_upsampled(labels, small, mask), expected, rtol=1e-5)


def test_labels_of_invalid_pixels_do_not_matter():
    r = np.random.default_rng(0)
    logits = r.standard_normal((1, 2, 2, 5)).astype(np.float32)
    mask = np.float32([[[1, 0], [1, 0]]])
    loss = SegmentationCrossEntropy(CLASS_WEIGHTS, 0.1)
    values = [
        loss(np.int32([[[[1], [ignored]], [[4], [ignored]]]]), logits, mask)
        for ignored in (0, -1, 255)
    ]
    assert values[0] == values[1] == values[2]


def test_it_is_saved_with_them():
    loss = SegmentationCrossEntropy(CLASS_WEIGHTS, 0.1)
    again = SegmentationCrossEntropy.from_config(loss.get_config())
    assert (again.class_weights, again.label_smoothing) == (list(CLASS_WEIGHTS), 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": []}, "positive number per class"),
        ({"class_weights": [1.0, 0.0]}, "positive number per class"),
        ({"class_weights": [1.0, float("nan")]}, "positive number per class"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing must be in \[0, 1\)"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SegmentationCrossEntropy(**options)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="must hold 3 numbers, one per class"):
        SegmentationCrossEntropy((1.0, 2.0))([[[[2]]]], np.array([[[[1.0, 2.0, 0.0]]]]))
