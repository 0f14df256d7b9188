"""Points, unit normals and texture coordinates of the surfaces that rays hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.ray_casting import (
    BOX,
    CAPSULE,
    CYLINDER,
    ROOM,
    Camera,
    Floats,
    Hits,
    Solids,
)

_TINY = np.float32(1e-12)
_SIDES = np.zeros(12, dtype=np.intp)
_SIDES[[5, 7, 3, 9, 1, 11]] = range(6)


@dataclass(frozen=True)
class Surface:
    """Geometry of the visible surfaces.

    Attributes:
        points: in the world frame, `[3, H, W]`, metres.
        normals: unit normals in the world frame, `[3, H, W]`.
        coordinates: texture coordinates, `[2, H, W]`.
        side: side of the room: 2 * axis, plus 1 for the positive side, `[H, W]`.
    """

    points: Floats
    normals: Floats
    coordinates: Floats
    side: NDArray[np.intp]


def visible_surface(camera: Camera, room: Floats, solids: Solids, hits: Hits) -> Surface:
    """Return points, normals and texture coordinates of the hits.

    Texture coordinates are metres on boxes and the room; on round solids the first is the angle
    about the axis, divided by 2 pi, and the second the height above the centre in metres.
    """
    columns, rows = camera.plane(*hits.depth.shape)
    right, up, forward = camera.basis[:, :, None, None]
    points = (forward + up * rows[:, None] + right * columns) * hits.depth
    points += camera.position[:, None, None]
    normals, coordinates, side = _box_geometry(
        points - room[:, None, None] / 2, 2 / room[:, None, None]
    )
    normals *= -1
    pixels = np.flatnonzero(hits.solid != ROOM)
    if pixels.size:
        table = np.concatenate(
            [solids.centre, solids.axes.reshape(-1, 9), solids.size, solids.kind[:, None]], axis=1
        )
        values = np.take(table, hits.solid.ravel()[pixels], axis=0).T
        values = np.ascontiguousarray(values)
        axes, size, kind = values[3:12].reshape(3, 3, -1), values[12:15], values[15]
        offset = points.reshape(3, -1)[:, pixels] - values[:3]
        local = axes[:, 0] * offset[0] + axes[:, 1] * offset[1] + axes[:, 2] * offset[2]
        normal, texture, _ = _box_geometry(local, 1 / np.maximum(size, _TINY))
        is_round = np.flatnonzero(kind != BOX)
        point = local[:, is_round]
        normal[:, is_round] = _round_normals(point, kind[is_round], size[:, is_round])
        texture[0, is_round] = np.arctan2(point[2], point[0]) * np.float32(0.5 / np.pi) % 1
        texture[1, is_round] = point[1]
        outward = axes[0] * normal[0] + axes[1] * normal[1] + axes[2] * normal[2]
        outward /= np.sqrt(outward[0] ** 2 + outward[1] ** 2 + outward[2] ** 2)
        for image, result in zip((*normals, *coordinates), (*outward, *texture), strict=True):
            image.reshape(-1)[pixels] = result
    return Surface(points=points, normals=normals, coordinates=coordinates, side=side)


def _box_geometry(local: Floats, inverse: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return outward normals, coordinates and sides of points on a box of extents 2 / inverse."""
    x, y, z = np.abs(local * inverse)
    first = (x >= y) & (x >= z)
    second = ~first & (y >= z)
    normals = np.sign(local)
    normals *= np.stack([first, second, ~(first | second)])
    coordinates = np.empty_like(local[:2])
    np.copyto(coordinates[0], local[0])
    np.copyto(coordinates[0], local[2], where=first)
    np.copyto(coordinates[1], local[1])
    np.copyto(coordinates[1], local[2], where=second)
    side = (normals[0] + 3 * normals[1] + 5 * normals[2] + 6).astype(np.intp)
    return normals, coordinates, _SIDES[side]


def _round_normals(local: Floats, kind: Floats, size: Floats) -> Floats:
    normals = local.copy()
    radius, half = size[0], size[1]
    normals[1] -= np.clip(local[1], -half, half) * (kind == CAPSULE)
    ratio = np.abs(local[1]) * radius - np.sqrt(local[0] ** 2 + local[2] ** 2) * half
    cylinder = kind == CYLINDER
    normals[1, cylinder] = 0
    cap = np.flatnonzero(cylinder & (ratio > 0))
    normals[::2, cap] = 0
    normals[1, cap] = np.sign(local[1, cap])
    return normals
