"""Pictures of errors: the colour of each kind of mistake."""

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.evaluation.reporting.error_maps import error_legend, error_map
from mtl_tf.targets import TargetKind

RED, BLUE, WHITE, BLACK = (224, 60, 49), (56, 132, 255), (240, 240, 240), (0, 0, 0)
VALID = np.array([[1, 1, 1, 0]])


def row(*values):
    return np.array([[[*np.atleast_1d(v)] for v in values]], np.float32)


def colours(task, prediction, target, **options):
    picture = error_map(mtl.TASKS[task], prediction, target, VALID, **options)
    assert picture.dtype == np.uint8 and picture.shape == (1, 4, 3)
    return [tuple(map(int, colour)) for colour in picture[0]]


def test_wrong_classes_are_red():
    scores = row([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0])
    right, wrong, also_right, invalid = colours("semseg", scores, row(0, 2, 2, 1))
    assert wrong == RED and right == also_right != RED and invalid == BLACK


@pytest.mark.parametrize("task", ["saliency", "edges"])
def test_false_alarms_misses_and_hits_differ(task):
    hit, false, missed, _ = colours(task, row(0.7, 0.7, 0.5, 0), row(1, 0, 1, 0), threshold=0.6)
    assert (hit, false, missed) == (WHITE, RED, BLUE)


def test_too_near_is_blue_and_too_far_is_red():
    near, right, far, _ = colours("depth", row(1, 2, 9, 0), row(2, 2, 2, 0), largest_error_m=0.5)
    assert near[2] > near[0] + 100 and far[0] > far[2] + 100
    assert max(right) - min(right) < 10


def test_larger_angles_are_brighter():
    predicted = row([0, 0, 1], [0, 0.5, 0.8], [0, 1, 0], [1, 0, 0])
    sums = [sum(colour) for colour in colours("normals", predicted, row(*[[0, 0, 1]] * 4))]
    assert sums[0] < sums[1] < sums[2] and sums[3] == 0


def test_each_kind_has_its_legend():
    legends = {task.kind: error_legend(task) for task in mtl.TASKS.values()}
    assert set(legends) == set(TargetKind)
    assert len(set(legends.values())) == len(TargetKind) - 1  # regions and lines share theirs
    assert "0.5 m" in error_legend(mtl.TASKS["depth"], 0.5)


def test_the_scale_is_that_of_the_valid_pixels():
    bright = colours("keypoints", row(0, 1, 2, 50), row(0, 0, 0, np.nan))
    assert sum(bright[2]) > sum(bright[1]) > sum(bright[0]) and bright[3] == BLACK


def test_pixels_that_the_metrics_leave_out_are_black():
    assert colours("depth", row(1, 1, 1, 1), row(0, 1, 1, 1))[0] == BLACK
    none = row([0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1])
    assert colours("normals", row(*[[0, 0, 1]] * 4), none)[0] == BLACK


def test_a_prediction_without_direction_is_90_degrees_off():
    off, right = colours("normals", row(*[[0, 0, 0], [0, 0, 1]] * 2), row(*[[0, 0, 1]] * 4))[:2]
    assert sum(off) > sum(right) + 200
