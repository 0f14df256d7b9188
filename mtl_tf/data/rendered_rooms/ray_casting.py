"""Vectorised NumPy ray caster for the inside of a room with simple solids.

Directions are scaled to unit length along the optical axis, so the ray parameter of a hit equals
its z-depth. Solids are intersected in local coordinates, `axes @ (world - centre)`; rows of `axes`
that are not unit vectors stretch the solid (a sphere becomes an ellipsoid). The local y axis is
the axis of cylinders and capsules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.geometry import Intrinsics

Floats = NDArray[np.floating[Any]]
BOX, SPHERE, CYLINDER, CAPSULE = range(4)
ROOM = -1
_NEAR_PLANE = 0.02
_TINY = np.float32(1e-12)


@dataclass(frozen=True)
class Camera:
    """Pose and horizontal field of view of a pinhole camera.

    Attributes:
        position: optical centre in the world frame, metres.
        basis: rows right, up and forward in the world frame.
        half_width: half of the width of the image plane at depth 1.
    """

    position: Floats
    basis: Floats
    half_width: float

    def intrinsics(self, height: int, width: int) -> Intrinsics:
        """Return the intrinsic parameters for an image with square pixels."""
        focal_length = width / (2 * self.half_width)
        return Intrinsics(focal_length, focal_length, (width - 1) / 2, (height - 1) / 2)

    def plane(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Return the pixel centres at depth 1: x of every column, y of every row, y up."""
        pixel = 2 * self.half_width / width
        columns = (np.arange(width, dtype=np.float32) + (0.5 - width / 2)) * pixel
        rows = ((height / 2 - 0.5) - np.arange(height, dtype=np.float32)) * pixel
        return columns.astype(np.float32), rows.astype(np.float32)


@dataclass(frozen=True)
class Solids:
    """Solids of a scene.

    Attributes:
        kind: `BOX`, `SPHERE`, `CYLINDER` or `CAPSULE`, `[count]`.
        centre: centres in the world frame, `[count, 3]`.
        axes: world to local coordinates, `[count, 3, 3]`.
        size: half extents of boxes, otherwise (radius, half length, unused), `[count, 3]`.
    """

    kind: NDArray[np.uint8]
    centre: Floats
    axes: Floats
    size: Floats

    @property
    def count(self) -> int:
        """Number of solids."""
        return len(self.kind)

    def corners(self) -> Floats:
        """Return the corners of the bounding boxes, `[count, 8, 3]` in the world frame."""
        radius, length = self.size[:, 0], self.size[:, 1]
        is_flat = (self.kind == BOX) | (self.kind == CYLINDER)
        height = np.where(is_flat, length, np.where(self.kind == CAPSULE, radius + length, radius))
        depth = np.where(self.kind == BOX, self.size[:, 2], radius)
        extents = np.stack([radius, height, depth], axis=1)[:, None, :] * _CUBE
        inverse = self.axes / np.square(self.axes).sum(axis=2, keepdims=True)
        return np.matmul(extents, inverse) + self.centre[:, None, :]


@dataclass(frozen=True)
class Hits:
    """Visible surface of every pixel.

    Attributes:
        depth: z-depth in metres, `[H, W]`.
        solid: index of the solid, or `ROOM` for the room, `[H, W]`.
    """

    depth: Floats
    solid: NDArray[np.int16]


_CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)


def _intersect_box(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    inverse = 1 / direction
    middle = origin * inverse
    reach = np.abs(inverse, out=inverse)
    reach *= size
    return -np.minimum.reduce(middle + reach), np.minimum.reduce(reach - middle)


def _intersect_sphere(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    (x, y, z), (step_x, step_y, step_z) = origin, direction
    inverse = 1 / (step_x * step_x + step_y * step_y + step_z * step_z)
    middle = (step_x * x + step_y * y + step_z * z) * inverse
    spread = np.sqrt(middle * middle - (x * x + y * y + z * z - size[0] ** 2) * inverse)
    near = -(middle + spread)
    return near, near


def _intersect_cylinder(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    (x, y, z), (step_x, step_y, step_z) = origin, direction
    inverse = 1 / np.maximum(step_x * step_x + step_z * step_z, _TINY)
    middle = (step_x * x + step_z * z) * -inverse
    spread = np.sqrt(middle * middle - (x * x + z * z - size[0] ** 2) * inverse)
    inverse = 1 / step_y
    centre = inverse * -y
    reach = np.abs(inverse) * size[1]
    return np.maximum(middle - spread, centre - reach), np.minimum(middle + spread, centre + reach)


def _intersect_capsule(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    (x, y, z), (step_x, step_y, step_z) = origin, direction
    squared = step_x * step_x + step_z * step_z
    mixed = step_x * x + step_z * z
    constant = x * x + z * z - size[0] ** 2
    near = (-mixed - np.sqrt(mixed * mixed - squared * constant)) / np.maximum(squared, _TINY)
    height = near * step_y + y
    shift = y - np.copysign(size[1], height)
    squared += step_y * step_y
    mixed += step_y * shift
    end = (-mixed - np.sqrt(mixed * mixed - squared * (constant + shift * shift))) / squared
    near = np.where(np.abs(height) < size[1], near, end)
    return near, near


INTERSECT: tuple[Callable[[Floats, Floats, Floats], tuple[Floats, Floats]], ...] = (
    _intersect_box,
    _intersect_sphere,
    _intersect_cylinder,
    _intersect_capsule,
)
"""Functions from origins, directions and sizes to ray parameters of entry and exit, by kind."""


def pixel_rectangles(camera: Camera, solids: Solids, height: int, width: int) -> NDArray[np.intp]:
    """Return the rectangle (top, bottom, left, right) that contains each solid, end exclusive."""
    corners = (solids.corners() - camera.position) @ camera.basis.T
    depth = corners[..., 2]
    focal_length = camera.intrinsics(height, width).fx
    projected = corners[..., :2] / np.maximum(depth, _NEAR_PLANE)[..., None] * focal_length
    low, high = projected.min(axis=1), projected.max(axis=1)
    top, bottom = height / 2 - high[:, 1], height / 2 - low[:, 1]
    edges = np.stack([top, bottom, width / 2 + low[:, 0], width / 2 + high[:, 0]], axis=1)
    edges += np.array([-1, 1, -1, 1], dtype=np.float32)
    limits = np.array([height, height, width, width])
    rectangles = np.clip(edges, 0, limits).astype(np.intp)
    rectangles[depth.min(axis=1) <= _NEAR_PLANE] = (0, height, 0, width)
    rectangles[depth.max(axis=1) <= _NEAR_PLANE] = 0
    return rectangles


def closest_hits(
    camera: Camera, room: Floats, solids: Solids, height: int, width: int, cull: bool = True
) -> Hits:
    """Return the nearest surface along the ray of every pixel.

    Args:
        camera: the camera.
        room: extents of the room, `[3]`, metres.
        solids: the solids.
        height: rows of pixels.
        width: columns of pixels.
        cull: whether to intersect a solid only within its rectangle of pixels, which is faster and
            does not change the result.
    """
    columns, rows = camera.plane(height, width)
    right, up, forward = camera.basis
    across = right[:, None] * columns
    along = forward[:, None] + up[:, None] * rows
    origins = np.einsum("sij,sj->si", solids.axes, camera.position - solids.centre)
    local_across, local_along = solids.axes @ across, solids.axes @ along
    rectangles = np.tile(np.array([0, height, 0, width]), (solids.count, 1))
    if cull:
        rectangles = pixel_rectangles(camera, solids, height, width)
    origins, sizes = origins[:, :, None, None], solids.size[:, :, None, None]
    kinds, half = solids.kind.tolist(), (room / 2)[:, None, None]
    with np.errstate(all="ignore"):
        direction = along[:, :, None] + across[:, None, :]
        _, depth = _intersect_box(camera.position[:, None, None] - half, direction, half)
        solid = np.full((height, width), ROOM, dtype=np.int16)
        for index, (top, bottom, left, end) in enumerate(rectangles.tolist()):
            if top >= bottom or left >= end:
                continue
            direction = (
                local_along[index, :, top:bottom, None] + local_across[index, :, None, left:end]
            )
            near, far = INTERSECT[kinds[index]](origins[index], direction, sizes[index])
            nearest = depth[top:bottom, left:end]
            is_nearer = (near < nearest) & (near <= far) & (near > 0)
            np.copyto(nearest, near, where=is_nearer)
            np.copyto(solid[top:bottom, left:end], index, where=is_nearer)
    return Hits(depth=depth, solid=solid)


def closest_hits_by_kind(
    camera: Camera, room: Floats, solids: Solids, height: int, width: int
) -> Hits:
    """Return `closest_hits` with all solids of a kind intersected at once.

    It is faster for few pixels, and may differ by rounding.
    """
    columns, rows = camera.plane(height, width)
    right, up, forward = camera.basis[:, :, None, None]
    rays = (forward + up * rows[:, None] + right * columns).reshape(3, -1)
    half = room[:, None] / 2
    origins = np.einsum("sij,sj->is", solids.axes, camera.position - solids.centre)[:, :, None]
    directions = np.matmul(solids.axes, rays).transpose(1, 0, 2)
    sizes = solids.size.T[:, :, None]
    depth = np.empty((solids.count + 1, rays.shape[1]), dtype=np.float32)
    with np.errstate(all="ignore"):
        depth[-1] = _intersect_box(camera.position[:, None] - half, rays, half)[1]
        for kind, intersect in enumerate(INTERSECT):
            rows_of = (solids.kind == kind).nonzero()[0]
            near, far = intersect(origins[:, rows_of], directions[:, rows_of], sizes[:, rows_of])
            depth[rows_of] = np.where((near <= far) & (near > 0), near, np.inf)
    solid = depth.argmin(axis=0)
    closest = depth[solid, np.arange(solid.size)].reshape(height, width)
    solid[solid == solids.count] = ROOM
    return Hits(depth=closest, solid=solid.reshape(height, width).astype(np.int16))
