"""Borders between regions by hand."""

import numpy as np

from mtl_tf.data.borders import borders


def test_borders_are_on_both_sides_and_not_to_unlabelled() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 255], [1, 1, 1, 255], [5, 255, 1, 1]], np.uint8)
    expected = [[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0]]
    edges = borders(labels, labels != 255)
    assert edges.tolist() == expected and edges.dtype == np.float32
    assert borders(np.array([[1, 1, 2]])).tolist() == [[0, 1, 1]]


def test_one_class_has_no_border() -> None:
    labels = np.full((5, 7), 3, np.uint8)
    assert not borders(labels, labels != 255).any()
