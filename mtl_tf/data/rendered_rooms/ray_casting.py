"""A vectorised NumPy ray caster: one room, seen from inside, filled with simple solids.

Directions are scaled so that their part along the optical axis is one, which makes the ray
parameter of a hit equal to its z-depth. A solid is met in its own frame, `axes @ (world - centre)`;
rows of `axes` may be longer or shorter than one, which stretches the solid (a sphere becomes an
ellipsoid). The local y axis is the axis of cylinders and capsules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
BOX, SPHERE, CYLINDER, CAPSULE = range(4)
ROOM = -1
_SELF_SHADOW_OFFSET = 0.01
_NEAR_PLANE = 0.02
_TINY = np.float32(1e-12)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: `basis` holds the rows right, up and forward in the world frame."""

    position: Floats
    basis: Floats
    half_width: float

    def plane(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Pixel centres on the plane one metre ahead: x of every column, y of every row."""
        pixel = 2 * self.half_width / width
        columns = (np.arange(width, dtype=np.float32) + (0.5 - width / 2)) * pixel
        rows = ((height / 2 - 0.5) - np.arange(height, dtype=np.float32)) * pixel
        return columns.astype(np.float32), rows.astype(np.float32)


@dataclass(frozen=True)
class Solids:
    """`count` solids; `size` is (half extents) for boxes and (radius, half length, -) otherwise."""

    kind: NDArray[np.uint8]
    centre: Floats
    axes: Floats
    size: Floats

    @property
    def count(self) -> int:
        """Number of solids."""
        return len(self.kind)

    def corners(self) -> Floats:
        """Corners of the boxes that bound the solids, [count, 8, 3] in the world frame."""
        radius, length = self.size[:, 0], self.size[:, 1]
        straight = (self.kind == BOX) | (self.kind == CYLINDER)
        high = np.where(straight, length, np.where(self.kind == CAPSULE, radius + length, radius))
        deep = np.where(self.kind == BOX, self.size[:, 2], radius)
        extents = np.stack([radius, high, deep], axis=1)[:, None, :] * _CUBE
        inverse = self.axes / np.square(self.axes).sum(axis=2, keepdims=True)
        return np.matmul(extents, inverse) + self.centre[:, None, :]


@dataclass(frozen=True)
class Hits:
    """Z-depth and index of the visible solid of every pixel (`ROOM` for the room itself)."""

    depth: Floats
    solid: NDArray[np.int16]


_CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)


def _meet_box(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    inverse = 1 / direction
    middle = origin * inverse
    reach = np.abs(inverse, out=inverse)
    reach *= size
    return -np.minimum.reduce(middle + reach), np.minimum.reduce(reach - middle)


def _meet_sphere(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    (x, y, z), (step_x, step_y, step_z) = origin, direction
    inverse = 1 / (step_x * step_x + step_y * step_y + step_z * step_z)
    middle = (step_x * x + step_y * y + step_z * z) * inverse
    spread = np.sqrt(middle * middle - (x * x + y * y + z * z - size[0] ** 2) * inverse)
    near = -(middle + spread)
    return near, near


def _meet_cylinder(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    (x, y, z), (step_x, step_y, step_z) = origin, direction
    inverse = 1 / np.maximum(step_x * step_x + step_z * step_z, _TINY)
    middle = (step_x * x + step_z * z) * -inverse
    spread = np.sqrt(middle * middle - (x * x + z * z - size[0] ** 2) * inverse)
    inverse = 1 / step_y
    centre = inverse * -y
    reach = np.abs(inverse) * size[1]
    return np.maximum(middle - spread, centre - reach), np.minimum(middle + spread, centre + reach)


def _meet_capsule(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
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


_MEET: tuple[Callable[[Floats, Floats, Floats], tuple[Floats, Floats]], ...] = (
    _meet_box,
    _meet_sphere,
    _meet_cylinder,
    _meet_capsule,
)


def pixel_rectangles(camera: Camera, solids: Solids, height: int, width: int) -> NDArray[np.intp]:
    """Rows (top, bottom, left, right), end exclusive, that contain every pixel of each solid."""
    seen = (solids.corners() - camera.position) @ camera.basis.T
    ahead = seen[..., 2]
    scale = width / (2 * camera.half_width)
    flat = seen[..., :2] / np.maximum(ahead, _NEAR_PLANE)[..., None] * scale
    low, high = flat.min(axis=1), flat.max(axis=1)
    edges = np.stack(
        [height / 2 - high[:, 1], height / 2 - low[:, 1], width / 2 + low[:, 0],
         width / 2 + high[:, 0]], axis=1
    )  # fmt: skip
    edges += np.array([-1, 1, -1, 1], dtype=np.float32)
    limits = np.array([height, height, width, width])
    rectangles = np.clip(edges, 0, limits).astype(np.intp)
    rectangles[ahead.min(axis=1) <= _NEAR_PLANE] = (0, height, 0, width)
    rectangles[ahead.max(axis=1) <= _NEAR_PLANE] = 0
    return rectangles


def closest_hits(
    camera: Camera, room: Floats, solids: Solids, height: int, width: int, cull: bool = True
) -> Hits:
    """The nearest surface along the ray of every pixel; `cull` only saves time."""
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
        _, depth = _meet_box(camera.position[:, None, None] - half, direction, half)
        solid = np.full((height, width), ROOM, dtype=np.int16)
        for index, (top, bottom, left, end) in enumerate(rectangles.tolist()):
            if top >= bottom or left >= end:
                continue
            direction = (
                local_along[index, :, top:bottom, None] + local_across[index, :, None, left:end]
            )
            near, far = _MEET[kinds[index]](origins[index], direction, sizes[index])
            so_far = depth[top:bottom, left:end]
            nearer = (near < so_far) & (near <= far) & (near > 0)
            np.copyto(so_far, near, where=nearer)
            np.copyto(solid[top:bottom, left:end], index, where=nearer)
    return Hits(depth=depth, solid=solid)


def glance(camera: Camera, room: Floats, solids: Solids, height: int, width: int) -> Hits:
    """Like `closest_hits`, all solids of a kind at once: faster where pixels are few."""
    columns, rows = camera.plane(height, width)
    right, up, forward = camera.basis[:, :, None, None]
    rays = (forward + up * rows[:, None] + right * columns).reshape(3, -1)
    half = room[:, None] / 2
    origins = np.einsum("sij,sj->is", solids.axes, camera.position - solids.centre)[:, :, None]
    directions = np.matmul(solids.axes, rays).transpose(1, 0, 2)
    sizes = solids.size.T[:, :, None]
    depth = np.empty((solids.count + 1, rays.shape[1]), dtype=np.float32)
    with np.errstate(all="ignore"):
        depth[-1] = _meet_box(camera.position[:, None] - half, rays, half)[1]
        for kind, meet in enumerate(_MEET):
            which = (solids.kind == kind).nonzero()[0]
            near, far = meet(origins[:, which], directions[:, which], sizes[:, which])
            depth[which] = np.where((near <= far) & (near > 0), near, np.inf)
    owner = depth.argmin(axis=0)
    closest = depth[owner, np.arange(owner.size)].reshape(height, width)
    owner[owner == solids.count] = ROOM
    return Hits(depth=closest, solid=owner.reshape(height, width).astype(np.int16))


def shadowed(
    points: Floats, normals: Floats, offsets: Floats, lamp: Floats, solids: Solids
) -> NDArray[np.bool_]:
    """Return whether a solid lies between each point [3, n] and its own spot, lamp + offset."""
    origin = points + normals * np.float32(_SELF_SHADOW_OFFSET)
    beam = origin - lamp[:, None]
    direction = offsets - beam
    beam /= np.sqrt(beam[0] ** 2 + beam[1] ** 2 + beam[2] ** 2)
    reach = np.sqrt(np.square(offsets).sum(axis=0).max(initial=0))
    corners = solids.corners() - solids.centre[:, None, :]
    radius = np.sqrt(np.square(corners).sum(axis=2).max(axis=1)) + reach
    towards = solids.centre - lamp
    inner = np.square(towards).sum(axis=1) - np.square(radius)
    limit = np.where(inner > 0, np.sqrt(np.maximum(inner, 0)), -np.inf).astype(np.float32)
    candidates = towards @ beam >= limit[:, None]
    dark = np.zeros(points.shape[1], dtype=np.bool_)
    rays = np.concatenate([origin, direction])
    kinds, sizes = solids.kind.tolist(), solids.size[:, :, None]
    starts = np.einsum("sij,sj->si", solids.axes, solids.centre)[:, :, None]
    with np.errstate(all="ignore"):
        for index, candidate in enumerate(candidates):
            which = candidate.nonzero()[0]
            if not which.size:
                continue
            local = solids.axes[index] @ rays[:, which].reshape(2, 3, -1)
            local[0] -= starts[index]
            near, far = _MEET[kinds[index]](local[0], local[1], sizes[index])
            dark[which] |= (near <= far) & (near < 1) & (near > 0)
    return dark
