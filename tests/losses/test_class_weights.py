"""Frequencies of classes, and the weights made from them."""

import numpy as np
import pytest

import mtl_tf as mtl

LABELS = np.repeat([0, 1, 1, 2, 2, 2, 2, 9], 2).reshape(1, 16, 1)
"""1/8, 2/8, 4/8 of classes 0, 1, 2; the 9 is invalid."""


class Stripes(mtl.data.DenseDataset):
    def __init__(self, valid=True):
        splits = {"train": ["a", "b"], "val": ["c"]}
        available = {"semseg": 13, "depth": 1}
        super().__init__(None, available, splits, (1, 16, 3), batch_size=2)
        self.valid = valid

    def load(self, image_id):
        is_valid = (LABELS[..., 0] != 9) & (image_id != "c") & self.valid
        targets = {"semseg": LABELS.astype(np.int32), "depth": np.ones((1, 16, 1), np.float32)}
        masks = {"semseg": is_valid, "depth": np.ones((1, 16), bool)}
        return mtl.data.Sample(np.zeros((1, 16, 3), np.uint8), targets, masks)


def test_frequencies_are_of_valid_pixels():
    frequencies = mtl.losses.class_frequencies(Stripes(), "semseg")
    np.testing.assert_allclose(frequencies, [1 / 7, 2 / 7, 4 / 7, *[0] * 10])
    assert not mtl.losses.class_frequencies(Stripes(), "semseg", "val").any()


def test_median_frequency():
    weights = np.array(mtl.losses.class_weights(Stripes(), "semseg"))
    np.testing.assert_allclose(weights[:3], np.array([2, 1, 0.5]) * 3 / 3.5)
    np.testing.assert_array_equal(weights[3:], weights[0])


def test_log():
    weights = np.array(mtl.losses.class_weights(Stripes(), "semseg", "log"))
    expected = 1 / np.log(1.02 + np.array([1, 2, 4]) / 7)
    np.testing.assert_allclose(weights[:3], expected / expected.mean())


@pytest.mark.parametrize("task", ["depth", "heat"])
def test_a_task_without_classes_is_refused(task):
    with pytest.raises(ValueError, match="task must be one of class ids among those"):
        mtl.losses.class_weights(Stripes(), task)


def test_other_rules_and_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="rule must be one of"):
        mtl.losses.class_weights(Stripes(), "semseg", "mean")
    with pytest.raises(ValueError, match="No training image has a valid pixel of task 'semseg'"):
        mtl.losses.class_weights(Stripes(valid=False), "semseg")
