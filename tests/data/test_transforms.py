"""Joint transforms against values derived by hand: where pixels go and what becomes of targets."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from mtl_tf.data.sample import Sample, make_sample
from mtl_tf.data.transforms import Augmentation, augment, flip, resize, zoom_and_rotate

HEIGHT, WIDTH = 24, 30
LABELS = [3, 17, 39]


def make(height: int = HEIGHT, width: int = WIDTH, valid_share: float = 0.9) -> Sample:
    generator = np.random.default_rng(0)
    size = (height, width)
    rows, columns = np.mgrid[:height, :width] / 20
    normals = np.stack([np.sin(columns), np.cos(rows) - 1, 1 + 0 * rows], axis=-1)
    targets = {
        "semseg": generator.choice(LABELS, size),
        "human_parts": generator.integers(1, 7, size),
        "depth": generator.uniform(1, 5, size),
        "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        "edges": generator.random(size) < 0.2,
        "saliency": np.ones(size),
    }
    masks = {task: generator.random(size) < valid_share for task in targets}
    return make_sample(generator.integers(0, 256, (*size, 3), np.uint8), targets, masks, "made")


def only(task: str, target: np.ndarray) -> Sample:
    return make_sample(np.zeros((*target.shape[:2], 3), np.uint8), {task: target}, {}, "made")


def assert_equal(a: Sample, b: Sample) -> None:
    np.testing.assert_array_equal(a.image, b.image)
    assert a.targets.keys() == b.targets.keys() == a.masks.keys()
    for task in a.targets:
        np.testing.assert_array_equal(a.targets[task], b.targets[task], err_msg=task)
        np.testing.assert_array_equal(a.masks[task], b.masks[task], err_msg=task)


def assert_sound(sample: Sample, like: Sample, height: int, width: int) -> None:
    assert sample.image.shape == (height, width, 3) and sample.image.dtype == np.uint8
    for task, target in sample.targets.items():
        mask, before = sample.masks[task], like.targets[task]
        assert target.shape == (height, width, before.shape[2]) and target.dtype == before.dtype
        assert mask.shape == (height, width) and mask.dtype == bool and mask.any()
        assert not target[~mask].any(), f"{task} is not 0 where invalid"
        if task == "normals":
            np.testing.assert_allclose(np.linalg.norm(target[mask], axis=-1), 1, atol=1e-5)
        elif task != "depth":
            assert np.isin(target[mask], before[like.masks[task]]).all(), f"{task}: new values"


TRANSFORMS = {
    "flip": lambda s: (flip(s), HEIGHT, WIDTH),
    "shrink": lambda s: (resize(s, 10, 13), 10, 13),
    "enlarge": lambda s: (resize(s, 31, 50), 31, 50),
    "zoom in": lambda s: (zoom_and_rotate(s, 40, 20, 1.3), 40, 20),
    "zoom out": lambda s: (zoom_and_rotate(s, 24, 30, 0.6), 24, 30),
    "rotate": lambda s: (zoom_and_rotate(s, 24, 30, 1.0, 33), 24, 30),
    "all": lambda s: (zoom_and_rotate(s, 20, 41, 1.1, -70, (0.1, 0.9)), 20, 41),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_sizes_types_and_values_stay_sound(name: str) -> None:
    sample = make()
    after, height, width = TRANSFORMS[name](sample)
    assert_sound(after, sample, height, width)


def test_flip_mirrors_everything_and_negates_x_of_normals() -> None:
    sample = make()
    flipped = flip(sample)
    assert_equal(flip(flipped), sample)
    np.testing.assert_array_equal(flipped.image, sample.image[:, ::-1])
    for task, target in sample.targets.items():
        sign = [-1, 1, 1] if task == "normals" else 1
        np.testing.assert_array_equal(flipped.targets[task], target[:, ::-1] * sign)
        np.testing.assert_array_equal(flipped.masks[task], sample.masks[task][:, ::-1])


def test_zoom_by_one_changes_nothing() -> None:
    sample = make()
    zoomed = zoom_and_rotate(sample, HEIGHT, WIDTH, 1.0, 0.0)
    np.testing.assert_allclose(zoomed.targets.pop("normals"), sample.targets["normals"], atol=1e-6)
    np.testing.assert_array_equal(zoomed.masks.pop("normals"), sample.masks["normals"])
    rest = {task: t for task, t in sample.targets.items() if task != "normals"}
    masks = {task: m for task, m in sample.masks.items() if task != "normals"}
    assert_equal(zoomed, Sample(sample.image, rest, masks))
    assert_equal(resize(sample, HEIGHT, WIDTH), sample)


@pytest.mark.parametrize("position", [(0.5, 0.5), (0.0, 0.0), (1.0, 0.5), (1.0, 1.0)])
@pytest.mark.parametrize(("factor", "enlarged"), [(3.0, 1), (1.5, 2)])
def test_zoom_in_shows_the_right_pixels_and_brings_them_nearer(factor, enlarged, position) -> None:
    """At a total magnification of 3 no pixel lies between two, so each source pixel is known."""
    sample = make()
    height, width = HEIGHT * enlarged, WIDTH * enlarged
    zoomed = zoom_and_rotate(sample, height, width, factor, position=position)
    spare = 1 - 1 / factor

    def sources(count: int, new: int, where: float) -> np.ndarray:
        shown = (np.arange(new) + 0.5) / new / factor + spare * where
        return np.floor(shown * count + 1e-9).astype(int)

    grid = np.ix_(sources(HEIGHT, height, position[1]), sources(WIDTH, width, position[0]))
    for task in ("semseg", "human_parts", "edges", "saliency"):
        np.testing.assert_array_equal(zoomed.targets[task], sample.targets[task][grid])
        np.testing.assert_array_equal(zoomed.masks[task], sample.masks[task][grid])
    expected = sample.targets["depth"][grid] / factor
    np.testing.assert_allclose(zoomed.targets["depth"], expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [1.2, 1.5, 0.75])
@pytest.mark.parametrize("angle", [0.0, 13.0])
def test_all_labels_and_masks_come_from_the_same_pixel(factor: float, angle: float) -> None:
    """Also where the nearest pixel is a tie: else unlabelled pixels become valid background."""
    codes = np.random.default_rng(0).integers(0, 40, (48, 64))
    tasks = ("semseg", "depth", "saliency")
    sample = make_sample(
        np.zeros((48, 64, 3), np.uint8),
        dict.fromkeys(tasks, codes),
        dict.fromkeys(tasks, codes > 9),
        "codes",
    )
    after = zoom_and_rotate(sample, 48, 64, factor, angle)
    classes = after.targets["semseg"]
    assert classes[after.masks["semseg"]].min() > 9
    np.testing.assert_array_equal(np.rint(after.targets["depth"] * factor), classes)
    np.testing.assert_array_equal(after.targets["saliency"], classes)


def test_zoom_out_leaves_an_invalid_border_not_background() -> None:
    sample = make(valid_share=1.0)
    zoomed = zoom_and_rotate(sample, HEIGHT, WIDTH, 1 / 3)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[8:16, 10:20] = True
    for task, mask in zoomed.masks.items():
        np.testing.assert_array_equal(mask, inside, err_msg=task)
        assert not zoomed.targets[task][~inside].any()
    centre = sample.targets["depth"][1::3, 1::3]
    np.testing.assert_allclose(zoomed.targets["depth"][8:16, 10:20], centre * 3, rtol=1e-6)


@pytest.mark.parametrize("angle", [20.0, -45.0, 100.0])
def test_rotation_makes_what_comes_from_outside_invalid(angle: float) -> None:
    sample = make(60, 80, valid_share=1.0)
    turned = zoom_and_rotate(sample, 60, 80, 1.0, angle)
    turn = math.radians(angle)
    rows, columns = np.mgrid[:60, :80] - np.array([29.5, 39.5])[:, None, None]
    right = columns * math.cos(turn) - rows * math.sin(turn)
    down = columns * math.sin(turn) + rows * math.cos(turn)
    beyond = np.maximum(np.abs(right) - 40, np.abs(down) - 30)
    for task, mask in turned.masks.items():
        assert mask[beyond < -0.1].all(), task
        assert not mask[beyond > 0.1].any(), task
        assert not turned.targets[task][~mask].any(), task


def test_rotation_is_counter_clockwise_for_pixels_and_normals() -> None:
    labels = np.zeros((41, 41), np.uint8)
    labels[20, 32] = 7
    turned = zoom_and_rotate(only("semseg", labels), 41, 41, angle_deg=90)
    assert np.argwhere(turned.targets["semseg"][..., 0] == 7).tolist() == [[8, 20]]
    normals = np.broadcast_to(np.float32([0.6, 0, 0.8]), (41, 41, 3))
    for angle in (90.0, 30.0, -30.0):
        turned = zoom_and_rotate(only("normals", normals), 41, 41, angle_deg=angle)
        turn = math.radians(angle)
        expected = [0.6 * math.cos(turn), 0.6 * math.sin(turn), 0.8]
        inner = turned.targets["normals"][15:26, 15:26]
        np.testing.assert_allclose(inner, np.broadcast_to(expected, inner.shape), atol=1e-5)


@pytest.mark.parametrize("angle", [30.0, -75.0, 140.0])
def test_turned_normals_fit_the_turned_surface(angle: float) -> None:
    """A tilted plane seen in parallel projection: its depth map yields the normal again."""
    rows, columns = np.mgrid[:81, :81]
    depth = 10 + 0.05 * columns - 0.02 * rows
    normal = np.array([0.05, 0.02, 1]) / np.linalg.norm([0.05, 0.02, 1])
    targets = {"depth": depth, "normals": np.broadcast_to(normal, (81, 81, 3))}
    sample = make_sample(np.zeros((81, 81, 3), np.uint8), targets, {}, "plane")
    turned = zoom_and_rotate(sample, 81, 81, angle_deg=angle)
    inside = turned.masks["depth"]
    unknowns = np.stack([columns, -rows, np.ones_like(rows)], axis=-1)[inside]
    slope = np.linalg.lstsq(unknowns, turned.targets["depth"][inside], rcond=None)[0].ravel()
    fitted = np.array([slope[0], slope[1], 1]) / np.linalg.norm([slope[0], slope[1], 1])
    np.testing.assert_allclose(turned.targets["normals"][40, 40], fitted, atol=1e-3)


def test_bicubic_overshoot_is_clipped() -> None:
    rows, columns = np.mgrid[:32, :48]
    board = np.where((rows // 4 + columns // 4) % 2, 255, 0)[..., None].repeat(3, 2)
    image = board.astype(np.uint8)
    zoomed = zoom_and_rotate(Sample(image, {}, {}), 32, 48, 1.5).image
    matrix = np.array([[1.5, 0, -0.5 * 23.5], [0, 1.5, -0.5 * 15.5]])
    exact = cv2.warpAffine(board.astype(np.float32), matrix, (48, 32), flags=cv2.INTER_CUBIC)
    assert exact.max() > 270 and exact.min() < -15
    np.testing.assert_allclose(zoomed.astype(float), np.clip(exact, 0, 255), atol=2)


def test_edges_survive_strong_shrinking() -> None:
    edges = np.zeros((480, 640), np.uint8)
    edges[133], edges[:, 401] = 1, 1
    small = resize(only("edges", edges), 24, 32).targets["edges"][..., 0]
    expected = np.zeros((24, 32))
    expected[133 // 20], expected[:, 401 // 20] = 1, 1
    np.testing.assert_array_equal(small, expected)


def test_augment_depends_on_the_generator_alone() -> None:
    sample = make()
    settings = Augmentation(zoom=(0.8, 1.2), random_position=True, rotation_deg=20, brightness=0.4)
    first, again, other = (
        augment(sample, 20, 28, settings, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert_equal(first, again)
    assert_sound(first, sample, 20, 28)
    assert (first.image != other.image).any()
