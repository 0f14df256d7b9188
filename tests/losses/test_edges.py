"""Class-balanced sigmoid cross-entropy against float64 NumPy."""

import numpy as np
import pytest

from mtl_tf.losses import BalancedBinaryCrossEntropy
from tests.losses.cases import assert_equals_truth, inputs, value_and_gradient


def truth_with(positive_weight):
    def truth(y_true, y_pred, mask):
        label, logit = y_true[mask > 0] >= 0.5, y_pred[mask > 0]
        w = np.mean(~label) if positive_weight is None else positive_weight
        positives = w * np.sum(np.log1p(np.exp(-logit[label])))
        negatives = (1 - w) * np.sum(np.log1p(np.exp(logit[~label])))
        return (positives + negatives) / label.size

    return truth


def square(values):
    return np.array(values, np.float32).reshape(1, 2, 2, 1)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("weight", [0.95, 0.3, None])
def test_value_and_gradient_equal_float64_truth(weight, masked):
    loss = BalancedBinaryCrossEntropy(weight)
    assert_equals_truth(loss, truth_with(weight), "edges", 0, masked)


@pytest.mark.parametrize(
    ("labels", "weight", "expected"),
    [
        ([0, 1, 0, 1], 0.95, 0.117125),
        ([0, 1, 0, 1], None, 0.180825),
        ([0, 1, 0, 0], 0.95, 0.113566),
        ([0, 1, 0, 0], None, 0.254570),
    ],
)
def test_oracles_of_the_survey(labels, weight, expected):
    value = BalancedBinaryCrossEntropy(weight)(square(labels), square([0, 1, -1, 2]))
    np.testing.assert_allclose(value, expected, atol=1e-6)


def test_logits_of_100_give_exactly_25():
    labels, logits = square([1, 1, 0, 0]), square([100, -100, -100, 100])
    value, gradient = value_and_gradient(BalancedBinaryCrossEntropy(), labels, logits)
    assert value == 25.0
    np.testing.assert_array_equal(gradient, square([0, -0.125, 0, 0.125]))


def test_gradient_at_logit_0_is_half_of_the_class_weight():
    """A last layer that starts at 0 makes every logit 0."""
    _, gradient = value_and_gradient(
        BalancedBinaryCrossEntropy(0.95), square([1, 1, 0, 0]), square([0, 0, 0, 0])
    )
    expected = square([-0.95, -0.95, 0.05, 0.05]) * 0.5 / 4
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_confident_right_logits_keep_their_small_gradient():
    _, gradient = value_and_gradient(
        BalancedBinaryCrossEntropy(0.5), square([1, 1, 0, 0]), square([10, 5, -10, -5])
    )
    expected = square([-1, -1, 1, 1]) * 0.125 / (1 + np.exp(square([10, 5, 10, 5])))
    np.testing.assert_allclose(gradient, expected, rtol=5e-3)


def test_labels_are_positive_from_one_half():
    loss, logits = BalancedBinaryCrossEntropy(0.95), square([0, 1, -1, 2])
    soft = loss(square([0.49, 0.5, 0.0, 0.51]), logits)
    assert soft == loss(square([0, 1, 0, 1]), logits)


def test_share_of_negatives_is_of_the_whole_batch():
    y_true, y_pred, mask = inputs("saliency", seed=3)
    y_true[0], mask[1, :3] = 1.0, 0.0
    value = BalancedBinaryCrossEntropy()(y_true, y_pred, mask)
    per_image = [
        BalancedBinaryCrossEntropy()(*(x[i : i + 1] for x in (y_true, y_pred, mask)))
        for i in range(2)
    ]
    np.testing.assert_allclose(value, truth_with(None)(y_true, y_pred, mask), rtol=1e-5)
    assert abs(value - np.mean(per_image)) > 0.01


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.5, 1.5])
def test_weight_outside_0_and_1_is_refused(weight):
    with pytest.raises(ValueError, match=f"Received: {weight}"):
        BalancedBinaryCrossEntropy(weight)
