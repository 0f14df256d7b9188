"""Thinning against scikit-image, one map at a time; matching against a flow and an assignment."""

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from skimage import morphology

import mtl_tf as mtl


@pytest.fixture(params=["native", "reference"])
def implementation(request, monkeypatch):
    if request.param == "reference":
        monkeypatch.setenv("MTL_TF_NATIVE", "off")
    elif not mtl.ops.native_status().available:
        pytest.skip("native")


def random_maps(number, shape, seed, smoothing=2.0):
    noise = np.random.default_rng(seed).random(shape, np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), smoothing)
    levels = np.quantile(smooth, np.linspace(0.02, 0.98, number))
    return smooth >= levels[:, None, None]


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("smoothing", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 3), (60, 80)])
def test_thin_lines_are_those_of_scikit_image(shape, smoothing):
    maps = random_maps(99, shape, 0, smoothing)
    expected = np.stack([morphology.thin(one) for one in maps])
    np.testing.assert_array_equal(mtl.ops.thin_edges(maps), expected)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("number", [1, 63, 64, 65, 130])
def test_every_map_is_thinned_by_itself(number):
    maps = np.random.default_rng(number).random((number, 9, 7)) < 0.7
    expected = np.stack([morphology.thin(one) for one in maps])
    np.testing.assert_array_equal(mtl.ops.thin_edges(maps), expected)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_maps(value):
    maps = np.full((3, 20, 31), value)
    expected = [morphology.thin(one) for one in maps]
    np.testing.assert_array_equal(mtl.ops.thin_edges(maps), expected)


def random_pair(generator, shape=(25, 30), share=0.2):
    maps = generator.random((int(generator.integers(1, 6)), *shape)) < share
    return maps, generator.random(shape) < share


def test_as_many_are_matched_as_flow_through_a_network(monkeypatch):
    if not mtl.ops.native_status().available:
        pytest.skip("native")
    generator = np.random.default_rng(0)
    for _ in range(40):
        maps, truth = random_pair(generator, share=generator.uniform(0, 0.6))
        radius = generator.choice([0, 1, 1.5, 2.9, 6])
        found = mtl.ops.match_edges(maps, truth, radius)
        with monkeypatch.context() as patch:
            patch.setenv("MTL_TF_NATIVE", "off")
            expected = mtl.ops.match_edges(maps, truth, radius)
        assert not (found & ~maps).any() and not (expected & ~maps).any()
        np.testing.assert_array_equal(found.sum((1, 2)), expected.sum((1, 2)))


@pytest.mark.usefixtures("implementation")
def test_what_is_matched_can_be_matched_at_once():
    """Hall's condition, through an independent assignment of the pixels that were chosen."""
    generator = np.random.default_rng(1)
    for _ in range(10):
        maps, truth = random_pair(generator, (12, 14), 0.3)
        found = mtl.ops.match_edges(maps, truth, 2.0)
        for one in found:
            chosen, true = np.argwhere(one), np.argwhere(truth)
            far = np.linalg.norm(chosen[:, None] - true, axis=-1) > 2
            rows, columns = linear_sum_assignment(far.astype(float))
            assert len(rows) == len(chosen) and not far[rows, columns].any()


@pytest.mark.usefixtures("implementation")
def test_long_chains_of_exchanges():
    """Pixels in a row, each with a true one at its side and one behind; the last must push all."""
    number = 3000
    truth = np.zeros((1, number + 2), bool)
    maps = truth[None].copy()
    maps[0, 0, 1 : number + 1] = True
    truth[0, 0:number] = True  # shifted by one: only one way to match all
    assert mtl.ops.match_edges(maps, truth, 1.0).sum() == number


@pytest.mark.usefixtures("implementation")
def test_nothing_to_match():
    maps, none = np.ones((2, 4, 5), bool), np.zeros((4, 5), bool)
    assert not mtl.ops.match_edges(maps, none, 3.0).any()
    assert not mtl.ops.match_edges(~maps, ~none, 3.0).any()
    assert mtl.ops.match_edges(maps, ~none, 0).all()
    assert mtl.ops.match_edges(maps[:0], ~none, 1).shape == (0, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 4), bool), np.zeros((3, 4), bool), 1.0), "T, H, W"),
        ((np.zeros((1, 3, 4)), np.zeros((3, 4), bool), 1.0), "bool"),
        ((np.zeros((1, 3, 4), bool), np.zeros((3, 4), int), 1.0), "bool"),
        ((np.zeros((1, 3, 4), bool), np.zeros((4, 3), bool), 1.0), "size"),
        ((np.zeros((1, 3, 4), bool), np.zeros((3, 4), bool), -1.0), "radius"),
        ((np.zeros((1, 3, 4), bool), np.zeros((3, 4), bool), np.nan), "radius"),
    ],
)
def test_bad_maps_to_match_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtl.ops.match_edges(*arguments)


@pytest.mark.parametrize("maps", [np.zeros((3, 4), bool), np.zeros((1, 3, 4))])
def test_bad_maps_are_told(maps):
    with pytest.raises(ValueError, match="bool"):
        mtl.ops.thin_edges(maps)
