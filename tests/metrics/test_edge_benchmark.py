"""The boundary benchmark: counts by hand, matching by trying all, real people."""

import itertools

import cv2
import numpy as np
import pytest
import scipy.io

from mtl_tf.metrics.edge_benchmark import THRESHOLDS, edge_benchmark, edge_counts, edge_scores

SHAPE = (30, 40)  # the diagonal is 50 pixels


def line(row, columns=slice(5, 35)):
    found = np.zeros(SHAPE, bool)
    found[row, columns] = True
    return found


def test_counts_by_hand():
    scores = 0.6 * line(10) + 0.9 * line(20, slice(0, 10))
    counts = edge_counts(scores, [line(11) | line(25)], max_distance=1.0 / 50)
    below, between, above = counts[58], counts[59], counts[95]
    assert THRESHOLDS[59] == pytest.approx(0.6)
    assert below.tolist() == [40, 30, 60, 30]
    assert between.tolist() in ([40, 30, 60, 30], [10, 0, 60, 0])  # 0.6 as a binary fraction
    assert above.tolist() == [0, 0, 60, 0]


def test_a_pixel_is_matched_once():
    two = line(10) | line(13)
    counts = edge_counts(line(11) * 1.0, [two], max_distance=2.5 / 50)
    assert counts[50].tolist() == [30, 30, 60, 30]


def test_matching_is_the_largest_there_is():
    """Chains in which the first that comes must give way to the next."""
    generator = np.random.default_rng(0)
    for _ in range(5):
        mine, true = (np.zeros((1, 12), bool) for _ in range(2))
        mine[0, generator.choice(12, 4, replace=False)] = True
        true[0, generator.choice(12, 4, replace=False)] = True
        mine &= ~np.roll(mine, 1)  # lines of one pixel stay when they are thinned
        true &= ~np.roll(true, 1)
        a, b = np.flatnonzero(mine), np.flatnonzero(true)
        most = max(
            sum(abs(x - y) <= 2 for x, y in zip(a, chosen, strict=False))
            for chosen in itertools.permutations(np.append(b, [99] * len(a)), len(a))
        )
        counts = edge_counts(mine * 1.0, [true], max_distance=2 / np.hypot(1, 12))
        assert counts[50].tolist() == [len(a), most, len(b), most]


def test_several_annotators():
    """A prediction is right if any of them has it; recall counts all their pixels."""
    counts = edge_counts(line(10) * 1.0, [line(10), line(25), line(10)], max_distance=0.01)
    assert counts[50].tolist() == [30, 30, 90, 60]


def test_pixels_that_are_not_valid_do_not_exist():
    valid = np.ones(SHAPE, bool)
    valid[:, 20:] = False
    counts = edge_counts(line(10) * 1.0, [line(25)], valid, max_distance=0.01)
    assert counts[50].tolist() == [15, 0, 15, 0]


def test_scores_by_hand():
    counts = np.zeros((2, 99, 4), np.int64)
    counts[..., 2] = 10
    counts[0, :50], counts[0, 50:] = [10, 10, 10, 10], [2, 2, 10, 2]
    counts[1, :50], counts[1, 50:] = [40, 10, 10, 10], [5, 5, 10, 5]
    found = edge_scores(counts)
    low = 2 * 0.4 * 1 / 1.4  # precision 20 of 50, recall 20 of 20
    high = 2 * 1 * 0.35 / 1.35  # precision 7 of 7, recall 7 of 20
    assert found["ods_f"] == pytest.approx(max(low, high))
    precision, recall = 15 / 15, 15 / 20  # the first image at its low, the second at its high
    assert found["ois_f"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["threshold"] == pytest.approx(0.01)
    # Precision falls from 1 at recall 0.35 to 0.4 at recall 1, along a line; 0 below 0.35.
    at = np.arange(101) / 100
    expected = np.where(at >= 0.35, 1 - 0.6 * (at - 0.35) / 0.65, 0).mean()
    assert found["ap"] == pytest.approx(expected, abs=0.01)


def test_a_shift_below_the_tolerance_changes_nothing():
    generator = np.random.default_rng(1)
    smooth = cv2.GaussianBlur(generator.random((80, 100), np.float32), (0, 0), 4)
    truth = np.abs(smooth - 0.5) < 0.004
    truth[:5] = truth[-5:] = truth[:, :5] = truth[:, -5:] = False
    image = [(truth * 1.0, [truth], None)]
    moved = [(np.roll(truth, (2, 2), (0, 1)) * 1.0, [truth], None)]
    tolerance = 3.0 / np.hypot(80, 100)
    assert edge_benchmark(image, tolerance)["ods_f"] == 1.0
    assert edge_benchmark(moved, tolerance)["ods_f"] == 1.0
    assert edge_benchmark(moved, 1.0 / np.hypot(80, 100))["ods_f"] < 0.9


def test_processes_count_the_same():
    images = [(line(10 + i) * 0.7, [line(11), line(12)], None) for i in range(5)]
    assert edge_benchmark(images, 0.02, num_workers=2) == edge_benchmark(images, 0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((line(1) * 1.0, []), "at least one"),
        ((line(1) * 1.0, [line(1)[:5]]), "shape"),
        ((line(1) * 1.0, [line(1)], line(1)[:5]), "shape"),
        ((line(1) * 1.0, [line(1)], None, 0.0), "positive"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        edge_counts(*arguments)


def test_no_image_is_told():
    with pytest.raises(ValueError, match="no image"):
        edge_benchmark([])


def annotations(path):
    cells = scipy.io.loadmat(path)["groundTruth"].ravel()
    return [cell["Boundaries"][0, 0].astype(bool) for cell in cells]


def test_people_against_themselves_and_each_other(data_root):
    """BSDS reports F of about 0.8 for people."""
    folder = data_root / "layouts" / "BSDS500" / "data" / "groundTruth"
    drawn = [annotations(path) for path in sorted(folder.glob("*/*.mat"))]
    assert len(drawn) == 4
    themselves = [(maps[0] * 1.0, [maps[0]], None) for maps in drawn]
    assert edge_benchmark(themselves)["ods_f"] == pytest.approx(1.0)
    others = [
        (one * 1.0, [*maps[:i], *maps[i + 1 :]], None)
        for maps in drawn
        for i, one in enumerate(maps)
    ]
    assert 0.65 < edge_benchmark(others)["ods_f"] < 0.95
