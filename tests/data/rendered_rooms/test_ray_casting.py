"""Every solid against float64 formulas that are derived another way, on fresh random rays."""

from __future__ import annotations

import numpy as np
import pytest

from mtl_tf.data.rendered_rooms.ray_casting import (
    BOX,
    CAPSULE,
    CYLINDER,
    ROOM,
    SPHERE,
    Camera,
    Solids,
    closest_hits,
    closest_hits_by_kind,
)
from mtl_tf.data.rendered_rooms.ray_surfaces import visible_surface
from mtl_tf.data.rendered_rooms.rooms import random_scene
from mtl_tf.data.rendered_rooms.shadows import shadowed

KINDS = {"box": BOX, "sphere": SPHERE, "cylinder": CYLINDER, "capsule": CAPSULE}
HALL = np.array([20, 20, 20], dtype=np.float32)
HEIGHT, WIDTH = 60, 80


@pytest.fixture
def seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])


def rotation(generator: np.random.Generator) -> np.ndarray:
    matrix, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def one_solid(kind: int, generator: np.random.Generator) -> Solids:
    centre = np.array([10, 10, 10]) + generator.uniform(-0.4, 0.4, 3)
    return Solids(
        kind=np.array([kind], dtype=np.uint8),
        centre=centre[None].astype(np.float32),
        axes=rotation(generator)[None].astype(np.float32),
        size=generator.uniform(0.2, 0.9, (1, 3)).astype(np.float32),
    )


def camera_at(generator: np.random.Generator) -> Camera:
    away = generator.normal(size=3)
    away *= generator.uniform(2.5, 5.0) / np.linalg.norm(away)
    forward = -away / np.linalg.norm(away)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(right, forward), forward]).astype(np.float32)
    return Camera((np.array([10, 10, 10]) + away).astype(np.float32), basis, 0.6)


def sphere_times(origin, rays, radius):
    a, b = (rays**2).sum(0), (rays * origin).sum(0)
    inside = b**2 - a * ((origin**2).sum(0) - radius**2)
    return np.where(inside >= 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)


def tube_times(origin, rays, radius, half):
    flat_origin, flat = origin.copy(), rays.copy()
    flat_origin[1], flat[1] = 0, 0
    times = sphere_times(flat_origin, flat, radius)
    heights = origin[1] + np.where(np.isfinite(times), times, 0) * rays[1]
    return np.where(np.abs(heights) <= half, times, np.inf)


def plane_times(origin, rays, axis, level, accept):
    times = (level - origin[axis]) / rays[axis]
    return np.where(accept(origin + times * rays), times, np.inf)


def reference(kind, size, origin, rays):
    """First hit times and local normals, from unions of spheres, tubes and bounded planes."""
    radius, half = size[0], size[1]
    options = []
    if kind == SPHERE:
        options = [(sphere_times(origin, rays, radius), lambda p: p)]
    if kind in (CYLINDER, CAPSULE):
        options.append((tube_times(origin, rays, radius, half), lambda p: p * [[1], [0], [1]]))
    for sign in (-1, 1):
        if kind == CAPSULE:
            end = np.array([[0], [sign * half], [0]])
            options.append((sphere_times(origin - end, rays, radius), lambda p, end=end: p - end))
        if kind == CYLINDER:
            times = plane_times(
                origin, rays, 1, sign * half, lambda p: np.hypot(p[0], p[2]) <= radius
            )
            options.append((times, lambda p, s=sign: np.zeros_like(p) + np.array([[0], [s], [0]])))
        for axis in range(3) if kind == BOX else ():
            others = [other for other in range(3) if other != axis]
            times = plane_times(
                origin,
                rays,
                axis,
                sign * size[axis],
                lambda p, o=others: (np.abs(p[o]) <= size[o][:, None]).all(0),
            )
            face = np.zeros((3, 1))
            face[axis] = sign
            options.append((times, lambda p, face=face: np.zeros_like(p) + face))
    times = np.stack([np.where(time > 0, time, np.inf) for time, _ in options])
    first, best = times.argmin(0), times.min(0)
    points = origin + np.where(np.isfinite(best), best, 0) * rays
    normals = np.stack([normal(points) for _, normal in options])
    normals = np.take_along_axis(normals, first[None, None], 0)[0]
    return best, normals / np.maximum(np.linalg.norm(normals, axis=0), 1e-9)


def local_rays(camera, solids):
    columns, rows = camera.plane(HEIGHT, WIDTH)
    right, up, forward = camera.basis.astype(np.float64)[:, :, None, None]
    rays = (forward + up * rows[:, None] + right * columns).reshape(3, -1)
    axes = solids.axes[0].astype(np.float64)
    origin = axes @ (camera.position.astype(np.float64) - solids.centre[0])
    return axes, origin[:, None], axes @ rays


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("repeat", range(4))
def test_distances_and_normals_match_analytic_float64(kind, repeat, seed):
    generator = np.random.default_rng((seed, repeat))
    solids, camera = one_solid(kind, generator), camera_at(generator)
    hits = closest_hits(camera, HALL, solids, HEIGHT, WIDTH)
    normals = visible_surface(camera, HALL, solids, hits).normals.reshape(3, -1)
    axes, origin, rays = local_rays(camera, solids)
    times, truth = reference(kind, solids.size[0].astype(np.float64), origin, rays)
    hit, expected = (hits.solid == 0).ravel(), np.isfinite(times)
    assert expected.sum() > 20, seed
    assert (hit != expected).sum() <= 4, seed
    both = hit & expected
    gap = np.abs(hits.depth.ravel()[both] - times[both])
    assert np.quantile(gap, 0.99) < 1e-3 and np.median(gap) < 1e-5, seed
    cosine = (normals[:, both] * (axes.T @ truth)[:, both]).sum(0)
    assert np.quantile(cosine, 0.03) > 0.999, seed


def test_the_empty_room_is_seen_from_inside(seed):
    camera = camera_at(np.random.default_rng(seed))
    none = Solids(
        np.zeros(0, np.uint8), *(np.zeros(s, np.float32) for s in ((0, 3), (0, 3, 3), (0, 3)))
    )
    hits = closest_hits(camera, HALL, none, HEIGHT, WIDTH)
    seen = visible_surface(camera, HALL, none, hits)
    assert (hits.solid == ROOM).all()
    axis, high = np.divmod(seen.side, 2)
    on_side = np.take_along_axis(seen.points, axis[None], 0)[0]
    np.testing.assert_allclose(on_side, high * 20.0, atol=1e-4)
    inward = np.take_along_axis(seen.normals, axis[None], 0)[0]
    np.testing.assert_array_equal(inward, 1.0 - 2 * high)


def test_stretched_spheres_are_ellipsoids(seed):
    generator = np.random.default_rng(seed)
    radii = generator.uniform(0.3, 0.9, 3)
    turn = rotation(generator)
    solids = Solids(
        np.array([SPHERE], np.uint8),
        np.full((1, 3), 10, np.float32),
        (turn / radii[:, None])[None].astype(np.float32),
        np.ones((1, 3), np.float32),
    )
    camera = camera_at(generator)
    hits = closest_hits(camera, HALL, solids, HEIGHT, WIDTH)
    seen = visible_surface(camera, HALL, solids, hits)
    on = hits.solid == 0
    local = turn @ (seen.points[:, on] - 10.0)
    np.testing.assert_allclose(((local / radii[:, None]) ** 2).sum(0), 1, atol=2e-3)
    gradient = turn.T @ (local / radii[:, None] ** 2)
    gradient /= np.linalg.norm(gradient, axis=0)
    assert ((gradient * seen.normals[:, on]).sum(0) > 0.9999).all(), seed


@pytest.mark.parametrize("repeat", range(6))
def test_culling_changes_nothing(repeat, seed):
    scene = random_scene(np.random.default_rng((seed, repeat)))
    arguments = (scene.camera, scene.room, scene.solids, 48, 64)
    culled, whole = closest_hits(*arguments), closest_hits(*arguments, cull=False)
    np.testing.assert_array_equal(culled.solid, whole.solid, err_msg=str(seed))
    np.testing.assert_array_equal(culled.depth, whole.depth, err_msg=str(seed))


def test_hits_by_kind_are_the_same(seed):
    scene = random_scene(np.random.default_rng(seed))
    arguments = (scene.camera, scene.room, scene.solids, 30, 40)
    quick, slow = closest_hits_by_kind(*arguments), closest_hits(*arguments)
    assert (quick.solid == slow.solid).mean() > 0.99, seed
    assert np.median(np.abs(quick.depth - slow.depth)) < 1e-5, seed


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_shadows_match_brute_force(kind, seed):
    generator = np.random.default_rng((seed, kind))
    solids = one_solid(kind, generator)
    lamp = np.array([10, 13, 10], dtype=np.float32)
    points = generator.uniform([8, 6, 8], [12, 8, 12], (4000, 3)).T.astype(np.float32)
    up = np.zeros_like(points)
    up[1] = 1
    offsets = generator.uniform(-0.1, 0.1, points.shape).astype(np.float32)
    dark = shadowed(points, up, offsets, lamp, solids)
    axes = solids.axes[0].astype(np.float64)
    start = points + 0.01 * up
    origin = axes @ (start - solids.centre[0].astype(np.float64)[:, None])
    towards = axes @ (lamp[:, None] + offsets - start)
    times, _ = reference(kind, solids.size[0].astype(np.float64), origin, towards)
    assert 20 < dark.sum() < 3980, seed
    assert (dark != (times < 1)).mean() < 0.003, seed
