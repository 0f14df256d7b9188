"""Lighting: a main light with soft shadows, a fill light, ambient light and the camera's tone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.ray_casting import Floats, Solids, shadowed
from mtl_tf.data.rendered_rooms.ray_surfaces import Surface
from mtl_tf.data.rendered_rooms.textures import sample

if TYPE_CHECKING:
    from mtl_tf.data.rendered_rooms.rooms import Scene

_PENUMBRA = np.float32(0.12)
_GAMMA = 2.2
_NOISE = 0.03
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
    """SRGB in [0, 1] to linear light."""
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
    taken = np.take(table, surfaces.ravel(), axis=0).T.reshape(13, *depth.shape)
    taken = np.ascontiguousarray(taken)
    length = np.sqrt(_dot(rays, rays))
    facing = np.abs(_dot(seen.normals, rays)) / length
    footprint = depth * pixel / np.maximum(facing, 0.25)
    albedo = sample(seen.coordinates, taken[:4], taken[12], footprint)
    albedo *= taken[7:10]
    albedo += taken[4:7]

    light = (0.85 + 0.15 * seen.normals[1]) * _corner_darkening(seen.points, room)
    light = scene.ambient[:, None, None] * light
    for lamp in (scene.main, scene.fill):
        towards = lamp.position[:, None, None] - seen.points
        squared = _dot(towards, towards)
        towards /= np.sqrt(squared)
        slope = np.maximum(_dot(towards, seen.normals), 0)
        strength = slope / (1 + squared * np.float32(lamp.half_distance**-2))
        if lamp is scene.main:
            strength *= _visibility(seen, slope, lamp, casters)
            highlight = _highlight(towards - rays / length, seen.normals, taken[11], strength)
        light += lamp.colour[:, None, None] * strength
    light += taken[10]
    albedo *= light
    albedo += scene.main.colour[:, None, None] * highlight
    return cv2.merge(list(albedo))


def _dot(first: Floats, second: Floats) -> Floats:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def _highlight(halfway: Floats, normals: Floats, gloss: Floats, strength: Floats) -> Floats:
    """Mirrored light on glossy surfaces (Blinn's model with exponent 32)."""
    highlight = np.zeros_like(gloss)
    pixels = np.flatnonzero((gloss > 0) & (strength > 0))
    some = halfway.reshape(3, -1)[:, pixels]
    shine = np.maximum(_dot(some, normals.reshape(3, -1)[:, pixels]), 0) ** 2 / _dot(some, some)
    for _ in range(4):
        shine *= shine
    highlight.reshape(-1)[pixels] = shine * gloss.reshape(-1)[pixels]
    return highlight


def _corner_darkening(points: Floats, room: Floats) -> Floats:
    """Less ambient light where two or three sides of the room are near."""
    gap = np.minimum(points, room[:, None, None] - points)
    near = 1 / (1 + np.float32(12) * gap * gap)
    low, middle, high = near
    return 1 - np.float32(0.3) * (low + middle + high - np.maximum(np.maximum(low, middle), high))


def _visibility(seen: Surface, slope: Floats, lamp: Lamp, casters: Solids) -> Floats:
    """Share of the lamp that is not hidden, traced for every other row and column.

    Each pixel of a 3 x 3 block sees another spot of the lamp; their mean is a soft shadow.
    """
    height, width = slope.shape
    known = (slope[::2, ::2] > 0).astype(np.float32)
    pixels = known.ravel().nonzero()[0]
    points = seen.points[:, ::2, ::2].reshape(3, -1)[:, pixels]
    normals = seen.normals[:, ::2, ::2].reshape(3, -1)[:, pixels]
    offsets = _lamp_offsets(*known.shape)[:, pixels]
    visible = np.zeros_like(known)
    visible.reshape(-1)[pixels] = ~shadowed(points, normals, offsets, lamp.position, casters)
    soft = cv2.blur(visible, (3, 3)) / np.maximum(cv2.blur(known, (3, 3)), np.float32(0.05))
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=8)
def _lamp_offsets(height: int, width: int) -> Floats:
    row, column = np.divmod(np.arange(height * width), width)
    angle = ((row % 3) * 3 + column % 3) * (2 * np.pi / 9)
    offsets = np.stack([np.cos(angle), np.cos(angle * 2) * 0.4, np.sin(angle)]) * _PENUMBRA
    return offsets.astype(np.float32)


def finished(
    light: Floats, edges: NDArray[np.uint8], exposure: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """The photograph: smoothed outlines, exposure, sensor noise and sRGB."""
    smooth = cv2.blur(light, (3, 3))
    np.copyto(light, smooth, where=edges.astype(np.bool_)[..., None])
    noise = generator.standard_normal(light.shape[:2], dtype=np.float32)
    noise *= np.float32(_NOISE * exposure * _STEPS / 4)
    noise += np.float32(exposure * _STEPS / 4)
    light *= noise[..., None]
    np.clip(light, 0, _STEPS - 1, out=light)
    return _tone().take(light.astype(np.int32))


@lru_cache(maxsize=1)
def _tone() -> NDArray[np.uint8]:
    light = np.arange(_STEPS, dtype=np.float64) * 4 / _STEPS
    shoulder = light * (1 + light / 4) / (1 + light)
    return np.rint(255 * np.clip(shoulder * 1.15, 0, 1) ** (1 / _GAMMA)).astype(np.uint8)
