"""The endless labelled data set: image `index` of sequence `seed`, rendered on the spot."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.mannequin import PARTS
from mtl_tf.data.rendered_rooms.ray_casting import Camera, Floats, closest_hits, glance
from mtl_tf.data.rendered_rooms.ray_surfaces import surface
from mtl_tf.data.rendered_rooms.rooms import NOBODY, Scene, room
from mtl_tf.data.rendered_rooms.shading import finished, shade
from mtl_tf.data.rendered_rooms.solids import CLASSES

__all__ = ["CLASSES", "PARTS", "render"]

_DRAWS = 6
_GLANCE_WIDTH = 16
_SALIENT_SHARE = 0.02
_PERSON_SHARE = 0.012
_CLOSE = 0.7
_CLOSE_SHARE = 0.02


def render(seed: int, index: int, height: int, width: int) -> dict[str, NDArray[Any]]:
    """Image `index` of the endless sequence `seed` with exact labels for six dense tasks.

    The same arguments give identical bytes; another resolution of the same aspect shows the same
    scene. Returned arrays, all [height, width, ...]: "image" uint8 sRGB; "semseg" uint8 indices
    into `CLASSES`; "depth" float32 z-depth in metres; "normals" float32 unit vectors in the
    camera frame (x right, y up, z towards the camera); "edges" uint8, 1 on both sides of a border
    between instances; "saliency" uint8, 1 on the salient object; "human_parts" uint8 indices into
    `PARTS`.
    """
    seed, index = _whole("seed", seed, 0), _whole("index", index, 0)
    height, width = _whole("height", height, 1), _whole("width", width, 1)
    scene = draw_scene(seed, index, height, width)
    camera = scene.camera
    hits = closest_hits(camera, scene.room, scene.solids, height, width)
    seen = surface(camera, scene.room, scene.solids, hits)
    surfaces = np.where(hits.solid < 0, seen.side + scene.solids.count, hits.solid)
    instance = scene.instance[surfaces]
    edges = _borders(instance)
    light = shade(seen, hits.depth, surfaces, scene)
    generator = np.random.default_rng((seed, index, height, width))
    return {
        "image": finished(light, edges, scene.exposure, generator),
        "semseg": scene.semseg[surfaces],
        "depth": hits.depth,
        "normals": _in_camera_frame(camera, seen.normals),
        "edges": edges,
        "saliency": (instance == scene.salient).astype(np.uint8),
        "human_parts": scene.part[surfaces],
    }


def draw_scene(seed: int, index: int, height: int, width: int) -> Scene:
    """The first of a few random scenes that shows its subjects well, or else the best of them."""
    generator = np.random.default_rng((seed, index))
    rows = max(round(_GLANCE_WIDTH * height / width), 1)
    best, best_merit = room(generator), -np.inf
    scene = best
    for draw in range(_DRAWS):
        if draw:
            scene = room(generator)
        merit = _merit(scene, rows)
        if merit > best_merit:
            best, best_merit = scene, merit
        if merit >= 0:
            break
    return best


def _merit(scene: Scene, rows: int) -> float:
    """Zero for a scene that shows its subjects; less the more it lacks."""
    hits = glance(scene.camera, scene.room, scene.solids, rows, _GLANCE_WIDTH)
    owner = np.where(hits.solid < 0, NOBODY, scene.instance[hits.solid])
    salient = np.mean(owner == scene.salient) if scene.salient != NOBODY else 0.0
    merit = 10 * min(float(salient) / _SALIENT_SHARE - 1, 0)
    if scene.person != NOBODY:
        merit += min(float(np.mean(owner == scene.person)) / _PERSON_SHARE - 1, 0)
    return merit - max(float(np.mean(hits.depth < _CLOSE)) / _CLOSE_SHARE - 1, 0)


def _borders(instance: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edges = np.zeros(instance.shape, dtype=np.bool_)
    across = instance[:, 1:] != instance[:, :-1]
    down = instance[1:] != instance[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges.astype(np.uint8)


def _in_camera_frame(camera: Camera, normals: Floats) -> Floats:
    basis = camera.basis * np.array([[1], [1], [-1]], dtype=np.float32)
    turned = basis @ normals.reshape(3, -1)
    return np.ascontiguousarray(turned.T).reshape(*normals.shape[1:], 3)


def _whole(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer of at least {least}, received {value!r}")
    return number
