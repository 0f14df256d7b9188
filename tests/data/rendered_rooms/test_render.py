"""The rendered rooms: reproducible, consistent with themselves, and showing what they promise."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mtl_tf.data.rendered_rooms.ray_casting import ROOM, closest_hits
from mtl_tf.data.rendered_rooms.ray_surfaces import visible_surface
from mtl_tf.data.rendered_rooms.render import CLASSES, PARTS, draw_scene, render

HEIGHT, WIDTH = 48, 64
EXPECTED = {
    "image": (np.uint8, (3,)),
    "semseg": (np.uint8, ()),
    "depth": (np.float32, ()),
    "normals": (np.float32, (3,)),
    "edges": (np.uint8, ()),
    "saliency": (np.uint8, ()),
    "human_parts": (np.uint8, ()),
}


@pytest.fixture(scope="module")
def images() -> list[dict[str, np.ndarray]]:
    return [render(11, index, HEIGHT, WIDTH) for index in range(120)]


def test_shapes_types_and_ranges(images):
    for image in images[:30]:
        assert list(image) == list(EXPECTED)
        for name, (dtype, tail) in EXPECTED.items():
            assert image[name].dtype == dtype, name
            assert image[name].shape == (HEIGHT, WIDTH, *tail), name
            assert image[name].flags.c_contiguous, name
        assert np.isfinite(image["depth"]).all()
        assert image["depth"].min() > 0.1 and image["depth"].max() < 12
        np.testing.assert_allclose(np.linalg.norm(image["normals"], axis=-1), 1, atol=1e-4)
        assert image["semseg"].max() < len(CLASSES)
        assert image["human_parts"].max() < len(PARTS)
        for name in ("edges", "saliency"):
            assert set(np.unique(image[name])) <= {0, 1}
        person = image["semseg"] == CLASSES.index("person")
        np.testing.assert_array_equal(person, image["human_parts"] > 0)


def test_same_arguments_give_identical_bytes_in_any_thread():
    def digest(index: int) -> bytes:
        return b"".join(value.tobytes() for value in render(5, index, 40, 56).values())

    alone = [digest(index) for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(digest, range(8))) == alone
    assert len(set(alone)) == 8
    other_seed = render(6, 0, 40, 56)["image"].tobytes()
    assert other_seed != render(5, 0, 40, 56)["image"].tobytes()


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    render(0, 0, 24, 32)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("seed, index", [(0, 0), (0, 1), (3, 17), (8, 4)])
def test_normals_agree_with_the_slope_of_the_depth(seed, index):
    height, width = 96, 128
    image = render(seed, index, height, width)
    columns, rows = draw_scene(seed, index, height, width).camera.plane(height, width)
    depth = image["depth"].astype(np.float64)
    points = np.stack([columns * depth, rows[:, None] * depth, -depth], axis=-1)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    upward = points[:-2, 1:-1] - points[2:, 1:-1]
    slope = np.cross(across, upward)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    interior = image["edges"][1:-1, 1:-1] == 0
    cosine = (slope * image["normals"][1:-1, 1:-1]).sum(-1)[interior]
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert np.median(angles) < 1 and np.quantile(angles, 0.8) < 8


def test_camera_frame_of_the_normals(images):
    for image in images[:20]:
        floor = image["normals"][image["semseg"] == CLASSES.index("floor")]
        assert (floor[:, 1] > 0.9).all() and np.abs(floor[:, 0]).max(initial=0) < 1e-3
        columns = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / WIDTH
        assert columns.sum() == 0
        facing = image["normals"][:, WIDTH // 2 - 1 : WIDTH // 2 + 1, 2]
        assert (facing > -0.5).all()


def test_edges_are_exactly_the_borders_of_instances():
    for index in range(8):
        image = render(2, index, HEIGHT, WIDTH)
        scene = draw_scene(2, index, HEIGHT, WIDTH)
        hits = closest_hits(scene.camera, scene.room, scene.solids, HEIGHT, WIDTH)
        side = visible_surface(scene.camera, scene.room, scene.solids, hits).side
        rows = np.where(hits.solid == ROOM, scene.solids.count + side, hits.solid)
        objects = scene.instance[rows]
        expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
        for axis in (0, 1):
            first = np.take(objects, range(objects.shape[axis] - 1), axis)
            second = np.take(objects, range(1, objects.shape[axis]), axis)
            border = first != second
            pad = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
            expected |= np.pad(border, pad) | np.pad(border, [span[::-1] for span in pad])
        np.testing.assert_array_equal(image["edges"] == 1, expected)
        assert 0.02 < image["edges"].mean() < 0.5


def test_most_images_have_a_person_and_nearly_all_a_salient_object(images):
    person = np.array([(image["human_parts"] > 0).mean() for image in images])
    salient = np.array([image["saliency"].mean() for image in images])
    assert 0.5 < (person > 0.005).mean() < 0.8
    assert (salient > 0.005).mean() > 0.97
    assert np.median(salient) > 0.02


def test_the_salient_object_is_the_colourful_one(images):
    inside, outside = [], []
    for image in images:
        colours = image["image"].astype(float)
        saturation = (colours.max(-1) - colours.min(-1)) / np.maximum(colours.max(-1), 1)
        mask = image["saliency"] == 1
        if mask.mean() > 0.005:
            inside.append(saturation[mask].mean())
            outside.append(saturation[~mask].mean())
    assert np.mean(np.array(inside) > np.array(outside) + 0.2) > 0.9


def test_pictures_are_well_exposed_and_differ(images):
    means = np.array([image["image"].mean() for image in images])
    assert 70 < np.median(means) < 190
    assert np.quantile(means, 0.05) > 45 and np.quantile(means, 0.95) < 225
    assert np.median([image["image"].std() for image in images]) > 25
    seen = np.bincount(np.concatenate([np.unique(image["semseg"]) for image in images]))
    assert len(seen) == len(CLASSES) and seen.min() >= 5


@pytest.mark.parametrize("index", range(6))
def test_another_resolution_shows_the_same_scene(index):
    small, large = render(4, index, 48, 64), render(4, index, 96, 128)
    for name in ("semseg", "saliency", "human_parts"):
        assert (large[name][::2, ::2] == small[name]).mean() > 0.9, name
    near = large["depth"][::2, ::2] / small["depth"]
    assert (np.abs(near - 1) < 0.1).mean() > 0.9


@pytest.mark.parametrize("height, width", [(1, 1), (17, 23), (130, 50)])
def test_odd_sizes_render(height, width):
    assert render(0, 3, height, width)["image"].shape == (height, width, 3)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((-1, 0, 8, 8), "seed"),
        ((0, 1.5, 8, 8), "index"),
        ((0, 0, 0, 8), "height"),
        ((0, 0, 8, "wide"), "width"),
        ((True, 0, 8, 8), "seed"),
    ],
)
def test_wrong_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least .*, received"):
        render(*arguments)


@pytest.mark.slow  # a time, wrong while anything else runs
def test_rendering_keeps_up_with_training():
    render(0, 0, 96, 128)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        for index in range(25):
            render(0, index, 96, 128)
        best = max(best, 25 / (time.perf_counter() - start))
    assert best >= 40
