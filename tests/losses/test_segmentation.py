"""Softmax cross-entropy against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.losses import SegmentationCrossEntropy
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
