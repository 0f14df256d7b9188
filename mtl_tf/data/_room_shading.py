"""Lighting: a main light with soft shadows, a fill light, ambient light and the camera's tone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_tf.data._ray_casting import Floats, Solids, Surface, shadowed
from mtl_tf.data._room_textures import sample

if TYPE_CHECKING:
    from mtl_tf.data._rooms import Scene

_PENUMBRA = np.float32(0.12)
_GAMMA = 2.2
_NOISE = 0.012
_STEPS = 4096


@dataclass(frozen=True)
class Lamp:
    """A light of linear RGB `colour` that loses half its strength at `half_distance` metres."""

    position: Floats
    colour: Floats
    half_distance: float


@dataclass(frozen=True)
class Looks:
    """One row per surface; `mapping` is (scale u, scale v, offset u, offset v) in texture tiles."""

    dark: Floats
    light: Floats
    texture: NDArray[np.intp]
    mapping: Floats
    glow: Floats
    gloss: Floats


def linear(colour: tuple[float, ...] | Floats) -> Floats:
    """sRGB in [0, 1] to linear light."""
    return np.power(np.asarray(colour, dtype=np.float32), np.float32(_GAMMA))


def shade(seen: Surface, depth: Floats, surfaces: NDArray[np.intp], scene: Scene) -> Floats:
    """Linear RGB [height, width, 3] of what the camera sees."""
    looks, room = scene.looks, scene.room
    casters = Solids(*(getattr(scene.solids, name)[scene.casts]
                       for name in ("kind", "centre", "axes", "size")))  # fmt: skip
    pixel = 2 * scene.camera.half_width / depth.shape[1]
    rays = (seen.points - scene.camera.position[:, None, None]) / depth
    table = np.concatenate(
        [looks.mapping, looks.dark, looks.light - looks.dark, looks.glow[:, None],
         looks.gloss[:, None], looks.texture[:, None]], axis=1
    ).astype(np.float32)  # fmt: skip
    taken = np.take(np.ascontiguousarray(table.T), surfaces, axis=1)
    length = np.sqrt((rays * rays).sum(axis=0))
    facing = np.abs((seen.normals * rays).sum(axis=0)) / length
    footprint = depth * pixel / np.maximum(facing, 0.25)
    albedo = taken[4:7] + taken[7:10] * sample(
        seen.coordinates, taken[:4], taken[12], footprint
    )

    up = seen.normals[1]
    light = scene.ambient[:, None, None] * (np.float32(0.85) + np.float32(0.15) * up)
    light *= _corner_darkening(seen.points, room)
    for lamp, shadows in ((scene.main, casters), (scene.fill, None)):
        towards = lamp.position[:, None, None] - seen.points
        squared = (towards * towards).sum(axis=0)
        slope = (towards * seen.normals).sum(axis=0) / np.sqrt(squared)
        strength = np.maximum(slope, 0) / (1 + squared * np.float32(lamp.half_distance**-2))
        if shadows is not None:
            strength *= _visibility(seen, slope, lamp, shadows)
            mirrored = towards / np.sqrt(squared) - rays / length
            mirrored /= np.sqrt((mirrored * mirrored).sum(axis=0))
            shine = np.maximum((mirrored * seen.normals).sum(axis=0), 0) ** 2
            shine *= shine
            shine *= shine
            shine *= shine
            highlight = shine * shine * (strength > 0) * taken[11]
        light += lamp.colour[:, None, None] * strength
    albedo *= light + taken[10]
    albedo += scene.main.colour[:, None, None] * highlight
    return np.ascontiguousarray(albedo.transpose(1, 2, 0))


def _corner_darkening(points: Floats, room: Floats) -> Floats:
    gap = np.minimum(points, room[:, None, None] - points)
    near = np.exp(gap * np.float32(-6))
    return 1 - np.float32(0.35) * (near.sum(axis=0) - near.max(axis=0))


def _visibility(seen: Surface, slope: Floats, lamp: Lamp, casters: Solids) -> Floats:
    height, width = slope.shape
    pixels = np.flatnonzero(slope > 0)
    row, column = np.divmod(pixels, width)
    angle = ((row % 3) * 3 + column % 3) * np.float32(2 * np.pi / 9)
    offsets = np.stack([np.cos(angle), np.cos(angle * 2) * 0.4, np.sin(angle)]) * _PENUMBRA
    lights = (lamp.position[:, None] + offsets).astype(np.float32)
    points = seen.points.reshape(3, -1)[:, pixels]
    normals = seen.normals.reshape(3, -1)[:, pixels]
    visible = np.ones(slope.size, dtype=np.float32)
    visible[pixels] = ~shadowed(points, normals, lights, casters, 1.1 * float(_PENUMBRA))
    return cv2.blur(visible.reshape(height, width), (3, 3)).astype(np.float32)


def finished(
    light: Floats, edges: NDArray[np.uint8], exposure: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """The photograph: smoothed outlines, exposure, sensor noise and sRGB."""
    smooth = cv2.blur(light, (3, 3))
    np.copyto(light, smooth, where=edges.astype(np.bool_)[..., None])
    light *= np.float32(exposure)
    light += generator.standard_normal(light.shape[:2], dtype=np.float32)[..., None] * np.float32(_NOISE)
    light *= np.float32(_STEPS / 4)
    np.clip(light, 0, _STEPS - 1, out=light)
    return np.take(_tone(), light.astype(np.uint16))


@lru_cache(maxsize=1)
def _tone() -> NDArray[np.uint8]:
    light = np.arange(_STEPS, dtype=np.float64) * 4 / _STEPS
    shoulder = light * (1 + light / 4) / (1 + light)
    return np.rint(255 * np.clip(shoulder * 1.15, 0, 1) ** (1 / _GAMMA)).astype(np.uint8)
