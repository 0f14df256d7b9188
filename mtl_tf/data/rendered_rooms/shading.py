"""Shading with a main light and soft shadows, a fill light and ambient light, and tone mapping."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.appearance import GAMMA, Lamp
from mtl_tf.data.rendered_rooms.ray_casting import Floats, Solids
from mtl_tf.data.rendered_rooms.ray_surfaces import Surface
from mtl_tf.data.rendered_rooms.rooms import Scene
from mtl_tf.data.rendered_rooms.shadows import shadowed
from mtl_tf.data.rendered_rooms.textures import sample

_PENUMBRA = np.float32(0.12)
_NOISE = 0.03
_STEPS = 4096


def shade(surface: Surface, depth: Floats, rows: NDArray[np.intp], scene: Scene) -> Floats:
    """Return the light that reaches the camera.

    Args:
        surface: visible surface of every pixel.
        depth: z-depth, `[H, W]`, metres.
        rows: row of the visible surface in the tables of the scene, `[H, W]`.
        scene: materials, lights and solids.

    Returns:
        Linear RGB, `[H, W, 3]`.
    """
    materials, room, solids, casts = scene.materials, scene.room, scene.solids, scene.casts
    casters = Solids(
        solids.kind[casts], solids.centre[casts], solids.axes[casts], solids.size[casts]
    )
    pixel = 2 * scene.camera.half_width / depth.shape[1]
    rays = (surface.points - scene.camera.position[:, None, None]) / depth
    scalars = np.stack([materials.glow, materials.gloss, materials.texture], axis=1)
    table = np.concatenate(
        [materials.mapping, materials.dark, materials.light - materials.dark, scalars], axis=1
    )
    values = np.take(table.astype(np.float32), rows.ravel(), axis=0).T
    values = np.ascontiguousarray(values.reshape(13, *depth.shape))
    mapping, dark, contrast = values[:4], values[4:7], values[7:10]
    glow, gloss, texture = values[10:]
    length = np.sqrt(_dot(rays, rays))
    cosine = np.abs(_dot(surface.normals, rays)) / length
    footprint = depth * pixel / np.maximum(cosine, 0.25)
    colour = sample(surface.coordinates, mapping, texture, footprint)
    colour *= contrast
    colour += dark

    light = (0.85 + 0.15 * surface.normals[1]) * _corner_darkening(surface.points, room)
    light = scene.ambient[:, None, None] * light
    for lamp in (scene.main, scene.fill):
        towards = lamp.position[:, None, None] - surface.points
        squared = _dot(towards, towards)
        towards /= np.sqrt(squared)
        slope = np.maximum(_dot(towards, surface.normals), 0)
        strength = slope / (1 + squared * np.float32(lamp.half_distance**-2))
        if lamp is scene.main:
            strength *= _visibility(surface, slope, lamp, casters)
            highlight = _highlight(towards - rays / length, surface.normals, gloss, strength)
        light += lamp.colour[:, None, None] * strength
    light += glow
    colour *= light
    colour += scene.main.colour[:, None, None] * highlight
    return cv2.merge(list(colour))


def _dot(first: Floats, second: Floats) -> Floats:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def _highlight(halfway: Floats, normals: Floats, gloss: Floats, strength: Floats) -> Floats:
    """Return the specular reflection of glossy surfaces (Blinn's model with exponent 32)."""
    highlight = np.zeros_like(gloss)
    pixels = np.flatnonzero((gloss > 0) & (strength > 0))
    half = halfway.reshape(3, -1)[:, pixels]
    shine = np.maximum(_dot(half, normals.reshape(3, -1)[:, pixels]), 0) ** 2 / _dot(half, half)
    for _ in range(4):
        shine *= shine
    highlight.reshape(-1)[pixels] = shine * gloss.reshape(-1)[pixels]
    return highlight


def _corner_darkening(points: Floats, room: Floats) -> Floats:
    """Return a factor of the ambient light that is smaller near corners of the room."""
    gap = np.minimum(points, room[:, None, None] - points)
    near = 1 / (1 + np.float32(12) * gap * gap)
    low, middle, high = near
    return 1 - np.float32(0.3) * (low + middle + high - np.maximum(np.maximum(low, middle), high))


def _visibility(surface: Surface, slope: Floats, lamp: Lamp, casters: Solids) -> Floats:
    """Return the visible share of the lamp, ray-cast for every other row and column.

    The pixels of a 3 x 3 block sample different positions on the lamp; their mean is a soft shadow.
    """
    height, width = slope.shape
    known = (slope[::2, ::2] > 0).astype(np.float32)
    pixels = known.ravel().nonzero()[0]
    points = surface.points[:, ::2, ::2].reshape(3, -1)[:, pixels]
    normals = surface.normals[:, ::2, ::2].reshape(3, -1)[:, pixels]
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


def tone_map(
    light: Floats, edges: NDArray[np.uint8], exposure: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Convert linear RGB to an 8-bit image: antialiasing, exposure, sensor noise and sRGB.

    Args:
        light: linear RGB `[H, W, 3]`, which is modified.
        edges: pixels to antialias, `[H, W]`.
        exposure: factor of the brightness.
        generator: random numbers of the noise.

    Returns:
        SRGB `[H, W, 3]` uint8.
    """
    smooth = cv2.blur(light, (3, 3))
    np.copyto(light, smooth, where=edges.astype(np.bool_)[..., None])
    noise = generator.standard_normal(light.shape[:2], dtype=np.float32)
    noise *= np.float32(_NOISE * exposure * _STEPS / 4)
    noise += np.float32(exposure * _STEPS / 4)
    light *= noise[..., None]
    np.clip(light, 0, _STEPS - 1, out=light)
    return _tone_curve().take(light.astype(np.int32))


@lru_cache(maxsize=1)
def _tone_curve() -> NDArray[np.uint8]:
    light = np.arange(_STEPS, dtype=np.float64) * 4 / _STEPS
    shoulder = light * (1 + light / 4) / (1 + light)
    return np.rint(255 * np.clip(shoulder * 1.15, 0, 1) ** (1 / GAMMA)).astype(np.uint8)
