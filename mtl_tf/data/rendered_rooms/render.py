"""Renderer of labelled images of random rooms."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.borders import borders
from mtl_tf.data.rendered_rooms.mannequin import PARTS
from mtl_tf.data.rendered_rooms.ray_casting import (
    Camera,
    Floats,
    closest_hits,
    closest_hits_by_kind,
)
from mtl_tf.data.rendered_rooms.ray_surfaces import visible_surface
from mtl_tf.data.rendered_rooms.rooms import NO_INSTANCE, Scene, random_scene
from mtl_tf.data.rendered_rooms.shading import shade, tone_map
from mtl_tf.data.rendered_rooms.solids import CLASSES

__all__ = ["CLASSES", "PARTS", "render"]

_MAX_SCENES = 6
_PREVIEW_WIDTH = 16
_MIN_SALIENT_SHARE = 0.02
_MIN_PERSON_SHARE = 0.012
_CLOSE_M = 0.7
_MAX_CLOSE_SHARE = 0.02


def render(seed: int, index: int, height: int, width: int) -> dict[str, NDArray[Any]]:
    """Render an image of a random room with exact labels of six dense tasks.

    Equal arguments give identical bytes; other resolutions of the same aspect ratio show the same
    scene.

    Args:
        seed: seed of a sequence of images.
        index: position in the sequence.
        height: rows of pixels.
        width: columns of pixels.

    Returns:
        Arrays `[height, width, ...]`: "image" uint8 sRGB; "semseg" uint8 indices into `CLASSES`;
        "depth" float32 z-depth in metres; "normals" float32 unit vectors in the camera frame (x
        right, y up, z towards the camera); "edges" uint8, 1 on both sides of a border between
        instances; "saliency" uint8, 1 on the salient object; "human_parts" uint8 indices into
        `PARTS`.

    Raises:
        ValueError: if an argument is not an integer in its range.
    """
    seed, index = _checked_integer("seed", seed, 0), _checked_integer("index", index, 0)
    height, width = _checked_integer("height", height, 1), _checked_integer("width", width, 1)
    scene = draw_scene(seed, index, height, width)
    camera = scene.camera
    hits = closest_hits(camera, scene.room, scene.solids, height, width)
    surface = visible_surface(camera, scene.room, scene.solids, hits)
    rows = np.where(hits.solid < 0, surface.side + scene.solids.count, hits.solid)
    instance = scene.instance[rows]
    edges = borders(instance).astype(np.uint8)
    light = shade(surface, hits.depth, rows, scene)
    generator = np.random.default_rng((seed, index, height, width))
    return {
        "image": tone_map(light, edges, scene.exposure, generator),
        "semseg": scene.semseg[rows],
        "depth": hits.depth,
        "normals": _in_camera_frame(camera, surface.normals),
        "edges": edges,
        "saliency": (instance == scene.salient).astype(np.uint8),
        "human_parts": scene.part[rows],
    }


def draw_scene(seed: int, index: int, height: int, width: int) -> Scene:
    """Return the first of a few random scenes that shows its subjects well, or the best one."""
    generator = np.random.default_rng((seed, index))
    rows = max(round(_PREVIEW_WIDTH * height / width), 1)
    best, best_score = random_scene(generator), -np.inf
    scene = best
    for attempt in range(_MAX_SCENES):
        if attempt:
            scene = random_scene(generator)
        score = _score(scene, rows)
        if score > best_score:
            best, best_score = scene, score
        if score >= 0:
            break
    return best


def _score(scene: Scene, rows: int) -> float:
    """Return 0 for a scene that shows its subjects, and negative penalties otherwise."""
    hits = closest_hits_by_kind(scene.camera, scene.room, scene.solids, rows, _PREVIEW_WIDTH)
    instance = np.where(hits.solid < 0, NO_INSTANCE, scene.instance[hits.solid])
    salient = np.mean(instance == scene.salient) if scene.salient != NO_INSTANCE else 0.0
    score = 10 * min(float(salient) / _MIN_SALIENT_SHARE - 1, 0)
    if scene.person != NO_INSTANCE:
        score += min(float(np.mean(instance == scene.person)) / _MIN_PERSON_SHARE - 1, 0)
    return score - max(float(np.mean(hits.depth < _CLOSE_M)) / _MAX_CLOSE_SHARE - 1, 0)


def _in_camera_frame(camera: Camera, normals: Floats) -> Floats:
    basis = camera.basis * np.array([[1], [1], [-1]], dtype=np.float32)
    rotated = basis @ normals.reshape(3, -1)
    return np.ascontiguousarray(rotated.T).reshape(*normals.shape[1:], 3)


def _checked_integer(name: str, value: int, minimum: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if number < minimum or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer of at least {minimum}, received {value!r}")
    return number
