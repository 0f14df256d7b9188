"""Surfaces at the end of rays: points, unit normals and texture coordinates."""

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
)  # fmt: skip

_TINY = np.float32(1e-12)
_SIDES = np.zeros(12, dtype=np.intp)
_SIDES[[5, 7, 3, 9, 1, 11]] = range(6)


@dataclass(frozen=True)
class Surface:
    """Hit points, unit normals and texture coordinates; `side` is 2 * axis + (positive side)."""

    points: Floats
    normals: Floats
    coordinates: Floats
    side: NDArray[np.intp]


def surface(camera: Camera, room: Floats, solids: Solids, hits: Hits) -> Surface:
    """Points, normals and texture coordinates of the hits, each [3 or 2, height, width].

    Texture coordinates are metres on boxes and the room; on round solids the first one is the
    turn about the axis in [0, 1) and the second one the height above the centre in metres.
    """
    columns, rows = camera.plane(*hits.depth.shape)
    right, up, forward = camera.basis[:, :, None, None]
    points = (forward + up * rows[:, None] + right * columns) * hits.depth
    points += camera.position[:, None, None]
    normals, coordinates, side = _flat(points - room[:, None, None] / 2, 2 / room[:, None, None])
    normals *= -1
    pixels = np.flatnonzero(hits.solid != ROOM)
    if pixels.size:
        table = np.concatenate(
            [solids.centre, solids.axes.reshape(-1, 9), solids.size, solids.kind[:, None]], axis=1
        )
        owner = hits.solid.ravel()[pixels]
        taken = np.ascontiguousarray(np.take(table, owner, axis=0).T)
        frame, size, kind = taken[3:12].reshape(3, 3, -1), taken[12:15], taken[15]
        offset = points.reshape(3, -1)[:, pixels] - taken[:3]
        local = frame[:, 0] * offset[0] + frame[:, 1] * offset[1] + frame[:, 2] * offset[2]
        towards, flat, _ = _flat(local, 1 / np.maximum(size, _TINY))
        bent = np.flatnonzero(kind != BOX)
        at = local[:, bent]
        towards[:, bent] = _round_normals(at, kind[bent], size[:, bent])
        flat[0, bent] = np.arctan2(at[2], at[0]) * np.float32(0.5 / np.pi) % 1
        flat[1, bent] = at[1]
        outward = frame[0] * towards[0] + frame[1] * towards[1] + frame[2] * towards[2]
        outward /= np.sqrt(outward[0] ** 2 + outward[1] ** 2 + outward[2] ** 2)
        for whole, some in zip((*normals, *coordinates), (*outward, *flat), strict=True):
            whole.reshape(-1)[pixels] = some
    return Surface(points=points, normals=normals, coordinates=coordinates, side=side)


def _flat(local: Floats, inverse: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Outward normals, coordinates and sides of points on a box of half extents 1 / inverse."""
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
