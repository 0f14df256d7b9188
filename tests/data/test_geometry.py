"""Cameras, frames of normals, and normals from depth: exact on planes, close on rendered rooms."""

from __future__ import annotations

import numpy as np
import pytest

from mtl_tf.data import geometry
from mtl_tf.data.rendered_rooms.render import draw_scene, render

CAMERA = geometry.Intrinsics(60.0, 55.0, 30.0, 22.0)
SIZE = (48, 64)


def angles_deg(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    cosine = np.clip((found.astype(float) * expected).sum(-1), -1, 1)
    return np.degrees(np.arccos(cosine))


def depth_of_plane(normal: np.ndarray, distance: float) -> np.ndarray:
    """Depth of the plane `normal · point = -distance`, by intersecting each pixel's ray."""
    x = (np.arange(SIZE[1]) - CAMERA.cx) / CAMERA.fx
    y = -(np.arange(SIZE[0]) - CAMERA.cy) / CAMERA.fy
    towards = normal[0] * x[None, :] + normal[1] * y[:, None] - normal[2]
    return -distance / towards


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.3, 0.1, 0.9), (0, 0.6, 1.2), (-0.5, -0.2, 1.0)])
def test_planes_are_exact(normal: tuple[float, ...]) -> None:
    unit = np.array(normal) / np.linalg.norm(normal)
    depth = depth_of_plane(unit, 2.0)
    assert (depth > 0).all()
    found, valid = geometry.normals_from_depth(depth, CAMERA)
    assert valid.all() and found.dtype == np.float32
    assert angles_deg(found, unit).max() < 0.1


def test_a_corner_stays_sharp() -> None:
    left, right = np.array([0.6, 0, 0.8]), np.array([-0.6, 0, 0.8])
    depth = np.maximum(depth_of_plane(left, 2.0), depth_of_plane(right, 2.0))
    found, valid = geometry.normals_from_depth(depth, CAMERA)
    nearest = np.minimum(angles_deg(found, left), angles_deg(found, right))
    assert valid.mean() > 0.95 and (nearest[valid] < 1).mean() > 0.9


def test_unknown_depth_is_invalid() -> None:
    depth = depth_of_plane(np.array([0, 0, 1.0]), 2.0)
    depth[:, :20] = 0
    depth[5, 40] = np.nan
    found, valid = geometry.normals_from_depth(depth, CAMERA)
    assert not valid[:, :20].any() and not valid[5, 40]
    assert valid[:, 20:].sum() == valid[:, 20:].size - 1
    assert not found[~valid].any() and np.isfinite(found).all()
    nothing, none = geometry.normals_from_depth(np.zeros(SIZE), CAMERA)
    assert not none.any() and not nothing.any()


def test_rendered_rooms_have_the_normals_of_their_depth() -> None:
    errors = []
    for index in range(3):
        rendered = render(0, index, 192, 256)
        scene = draw_scene(0, index, 192, 256)
        camera = scene.camera.intrinsics(192, 256)
        found, valid = geometry.normals_from_depth(rendered["depth"], camera, radius=3)
        errors.append(angles_deg(found, rendered["normals"])[valid])
        assert valid.mean() > 0.98
    assert np.median(np.concatenate(errors)) < 1
    assert np.percentile(np.concatenate(errors), 75) < 5


def test_frames() -> None:
    wall = np.array([[0, 0, 1.0], [0, 1.0, 0]])
    np.testing.assert_array_equal(geometry.convert_normals(wall, "opengl"), wall)
    for frame in ("opencv", "taskonomy"):
        other = geometry.convert_normals(wall, frame)
        np.testing.assert_array_equal(other, [[0, 0, -1], [0, -1, 0]])
        np.testing.assert_array_equal(geometry.convert_normals(other, frame), wall)
    with pytest.raises(ValueError, match="frame"):
        geometry.convert_normals(wall, "mars")


def test_distance_and_depth() -> None:
    depth = np.full(SIZE, 3.0)
    rays = CAMERA.rays(*SIZE)
    distance = np.linalg.norm(np.concatenate([rays, -np.ones((*SIZE, 1))], -1) * 3.0, axis=-1)
    np.testing.assert_allclose(geometry.depth_from_distance(distance, CAMERA), depth)
    assert rays[0, 0, 0] < 0 < rays[0, 0, 1]  # left of the centre, above it


def test_a_camera_of_another_size_sees_the_same() -> None:
    camera = geometry.KINECT.cropped(40, 30).resized(0.5, 0.5)
    whole, part = geometry.KINECT.rays(480, 640), camera.rays(220, 305)
    corner = whole[40:42, 30:32].mean((0, 1))  # four pixels become one
    np.testing.assert_allclose(part[0, 0], corner)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="radius"):
        geometry.normals_from_depth(np.ones(SIZE), CAMERA, radius=0)
    with pytest.raises(ValueError, match=r"\[H, W\]"):
        geometry.normals_from_depth(np.ones((*SIZE, 1)), CAMERA)
    for wrong in ((0.0, 1.0, 0.0, 0.0), (1.0, float("nan"), 0.0, 0.0)):
        with pytest.raises(ValueError, match="focal"):
            geometry.Intrinsics(*wrong)
