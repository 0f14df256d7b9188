"""Errors by range of the depth and the distribution of angles, against direct counts."""

import numpy as np
import pytest

from mtl_tf.evaluation.diagnostics.angles import Angles
from mtl_tf.evaluation.diagnostics.depth_ranges import DepthRanges


@pytest.mark.parametrize("scale", [0.05, 1.0, 40.0])
def test_ranges_hold_a_tenth_of_the_pixels_and_their_errors(scale):
    r = np.random.default_rng(0)
    depth = scale * r.uniform(1.0, 9.0, (200, 300, 1))
    predicted = depth * 1.1 + scale * 0.05 * r.standard_normal(depth.shape)
    valid = r.random(depth.shape[:2]) < 0.8
    ranges = DepthRanges()
    for rows in (slice(0, 50), slice(50, 200)):
        ranges.add(depth[rows], predicted[rows], valid[rows])
    rows = ranges.result()["ranges"]
    assert len(rows) == 10
    assert abs(sum(row["share"] for row in rows) - 1) < 1e-9
    for row in rows:
        inside = (depth >= row["from_m"]) & (depth < row["to_m"]) & valid[..., None]
        error = (predicted - depth)[inside]
        assert abs(row["share"] - 0.1) < 0.03
        assert row["mean_error"] == pytest.approx(error.mean(), rel=1e-9)
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)


def test_pixels_without_depth_do_not_count():
    ranges = DepthRanges()
    depth = np.array([[[0.0], [3.0], [3.0]]])
    ranges.add(depth, np.array([[[9.0], [4.0], [10.0]]]), np.array([[True, True, False]]))
    (row,) = ranges.result()["ranges"]
    assert (row["share"], row["mean_error"], row["rmse"]) == (1.0, 1.0, 1.0)
    assert DepthRanges().result() == {"ranges": []}


def test_depths_beyond_the_last_edge_are_kept():
    ranges = DepthRanges()
    depth = np.array([[[2000.0], [0.001]]])
    ranges.add(depth, depth + 1.0, np.ones((1, 2), bool))
    rows = ranges.result()["ranges"]
    assert rows[0]["from_m"] == 0.0 and rows[-1]["to_m"] == 2000.0
    assert sum(row["share"] for row in rows) == 1.0


def test_angles_are_counted_in_their_bins():
    degrees = np.array([0.0, 4.9, 5.1, 44.0, 90.0, 179.9, 33.0])
    radians = np.radians(degrees)
    predicted = np.stack([np.sin(radians), np.zeros(7), np.cos(radians)], -1)[None]
    target = np.tile([0.0, 0.0, 2.0], (1, 7, 1))
    target[0, 6] = 0.0  # no direction
    angles = Angles()
    angles.add(target, predicted, np.array([[True] * 7]))
    strange = Angles()
    strange.add(np.ones((1, 2, 3)), np.array([[[0.0] * 3, [np.nan] * 3]]), np.array([[True, True]]))
    shares = strange.result()["shares"]
    assert shares[18] == shares[35] == 0.5  # no direction: 90°; no number: 180°
    result = angles.result()
    expected = np.zeros(36)
    np.add.at(expected, (degrees[:6] // 5).astype(int), 1 / 6)
    np.testing.assert_allclose(result["shares"], expected)
    assert result["bin_deg"] == 5.0
