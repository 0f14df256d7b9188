"""A vectorised NumPy ray caster: one room, seen from inside, filled with simple solids.

Directions are scaled so that their part along the optical axis is one, which makes the ray
parameter of a hit equal to its z-depth. A solid is met in its own frame, `axes @ (world - centre)`;
rows of `axes` may be longer or shorter than one, which stretches the solid (a sphere becomes an
ellipsoid). The local y axis is the axis of cylinders and capsules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BOX, SPHERE, CYLINDER, CAPSULE = range(4)
ROOM = -1
_SELF_SHADOW_OFFSET = 0.01
_NEAR_PLANE = 0.02


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
    """What every pixel sees: z-depth and the index of the solid (`ROOM` for the room itself)."""

    depth: Floats
    solid: NDArray[np.int16]


@dataclass(frozen=True)
class Surface:
    """Hit points, unit normals and texture coordinates; `side` is 2 * axis + (positive side)."""

    points: Floats
    normals: Floats
    coordinates: Floats
    side: NDArray[np.intp]


_CUBE = np.array(
    [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32
)


def _meet_box(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    inverse = 1 / direction
    middle = origin * -inverse
    reach = np.abs(inverse, out=inverse)
    reach *= size.reshape((3,) + (1,) * (direction.ndim - 1))
    low, high = middle - reach, middle + reach
    near = np.maximum(np.maximum(low[0], low[1]), low[2])
    return near, np.minimum(np.minimum(high[0], high[1]), high[2])


def _meet_sphere(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    return _roots(origin, direction, size[0])


def _roots(origin: Floats, direction: Floats, radius: float) -> tuple[Floats, Floats]:
    squared = (direction * direction).sum(axis=0)
    inverse = 1 / np.maximum(squared, 1e-12)
    middle = (direction * origin).sum(axis=0) * -inverse
    spread = np.sqrt(middle * middle - ((origin * origin).sum(axis=0) - radius**2) * inverse)
    return middle - spread, middle + spread


def _meet_cylinder(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    near, far = _roots(origin[::2], direction[::2], size[0])
    inverse = 1 / direction[1]
    middle = origin[1] * -inverse
    reach = np.abs(inverse) * size[1]
    return np.maximum(near, middle - reach), np.minimum(far, middle + reach)


def _meet_capsule(origin: Floats, direction: Floats, size: Floats) -> tuple[Floats, Floats]:
    near, far = _roots(origin[::2], direction[::2], size[0])
    height = np.clip(origin[1] + near * direction[1], -size[1], size[1])
    shifted = np.empty_like(direction)
    shifted[0], shifted[1], shifted[2] = origin[0], origin[1] - np.sign(height) * size[1], origin[2]
    round_near, round_far = _roots(shifted, direction, size[0])
    body = np.abs(height) < size[1]
    return np.where(body, near, round_near), np.where(body, far, round_far)


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
    kinds = solids.kind.tolist()
    with np.errstate(all="ignore"):
        inside = (camera.position - room / 2)[:, None, None]
        _, depth = _meet_box(inside, along[:, :, None] + across[:, None, :], room / 2)
        solid = np.full((height, width), ROOM, dtype=np.int16)
        for index, (top, bottom, left, end) in enumerate(rectangles.tolist()):
            if top >= bottom or left >= end:
                continue
            direction = (
                local_along[index, :, top:bottom, None] + local_across[index, :, None, left:end]
            )
            origin = origins[index, :, None, None]
            near, far = _MEET[kinds[index]](origin, direction, solids.size[index])
            so_far = depth[top:bottom, left:end]
            nearer = (near < so_far) & (near <= far) & (near > 0)
            np.copyto(so_far, near, where=nearer)
            np.copyto(solid[top:bottom, left:end], index, where=nearer)
    return Hits(depth=depth, solid=solid)


def surface(camera: Camera, room: Floats, solids: Solids, hits: Hits) -> Surface:
    """Points, normals and texture coordinates of the hits, each [3 or 2, height, width].

    Texture coordinates are metres on boxes and the room; on round solids the first one is the
    turn about the axis in [0, 1) and the second one the height above the centre in metres.
    """
    height, width = hits.depth.shape
    columns, rows = camera.plane(height, width)
    right, up, forward = camera.basis[:, :, None, None]
    points = (forward + up * rows[:, None] + right * columns) * hits.depth
    points += camera.position[:, None, None]

    centres = np.concatenate([solids.centre, room[None] / 2])
    axes = np.concatenate([solids.axes, np.eye(3, dtype=np.float32)[None]])
    sizes = np.concatenate([solids.size, room[None] / 2])
    kinds = np.append(solids.kind, BOX)
    table = np.concatenate([centres, axes.reshape(-1, 9), 1 / np.maximum(sizes, 1e-6)], axis=1)
    owner = hits.solid.astype(np.intp)
    owner[owner == ROOM] = solids.count
    taken = np.take(np.ascontiguousarray(table.T), owner, axis=1)
    frame = taken[3:12].reshape(3, 3, height, width)
    offset = points - taken[:3]
    local = frame[:, 0] * offset[0] + frame[:, 1] * offset[1] + frame[:, 2] * offset[2]

    share = np.abs(local) * taken[12:]
    first = (share[0] >= share[1]) & (share[0] >= share[2])
    second = ~first & (share[1] >= share[2])
    towards = np.copysign(np.float32(1), local)
    towards *= np.stack([first, second, ~(first | second)])
    side = np.where(first, local[0] > 0, np.where(second, 2 + (local[1] > 0), 4 + (local[2] > 0)))
    coordinates = np.stack([np.where(first, local[2], local[0]),
                            np.where(second, local[2], local[1])])  # fmt: skip
    inside = owner == solids.count
    towards[:, inside] *= -1
    pixels = np.flatnonzero(np.take(kinds != BOX, owner))
    if pixels.size:
        which = owner.ravel()[pixels]
        at = local.reshape(3, -1)[:, pixels]
        towards.reshape(3, -1)[:, pixels] = _round_normals(at, kinds[which], sizes[which])
        turn = np.arctan2(at[2], at[0]) * np.float32(0.5 / np.pi)
        coordinates.reshape(2, -1)[:, pixels] = np.stack([turn % 1, at[1]])
    normals = frame[0] * towards[0] + frame[1] * towards[1] + frame[2] * towards[2]
    normals /= np.sqrt((normals * normals).sum(axis=0))
    return Surface(points=points, normals=normals, coordinates=coordinates, side=side)


def _round_normals(local: Floats, kind: NDArray[np.uint8], size: Floats) -> Floats:
    normals = local.copy()
    capsule, cylinder = kind == CAPSULE, kind == CYLINDER
    normals[1] -= np.clip(local[1], -size[:, 1], size[:, 1]) * capsule
    radius = np.hypot(local[0], local[2])
    cap = cylinder & (np.abs(local[1]) * size[:, 0] > radius * size[:, 1])
    normals[1, cylinder] = 0
    normals[:, cap] = np.sign(local[:, cap]) * np.array([[0], [1], [0]], dtype=np.float32)
    return normals


def shadowed(
    points: Floats, normals: Floats, lights: Floats, solids: Solids, reach: float
) -> NDArray[np.bool_]:
    """Whether a solid lies between each of the points [3, n] and its own light position [3, n].

    `reach` bounds the distance of the light positions from their mean (the size of the lamp).
    """
    lamp = lights.mean(axis=1, keepdims=True)
    origin = points + normals * np.float32(_SELF_SHADOW_OFFSET)
    direction = lights - origin
    beam = origin - lamp
    beam /= np.sqrt((beam * beam).sum(axis=0))
    corners = solids.corners() - solids.centre[:, None, :]
    radius = np.sqrt(np.square(corners).sum(axis=2).max(axis=1)) + np.float32(reach)
    towards = solids.centre - lamp[:, 0]
    inner = np.square(towards).sum(axis=1) - np.square(radius)
    limit = np.where(inner > 0, np.sqrt(np.maximum(inner, 0)), -np.inf).astype(np.float32)
    candidates = towards @ beam >= limit[:, None]
    dark = np.zeros(points.shape[1], dtype=np.bool_)
    with np.errstate(all="ignore"):
        for index in range(solids.count):
            rays = np.flatnonzero(candidates[index])
            if not rays.size:
                continue
            axes = solids.axes[index]
            start = axes @ (origin[:, rays] - solids.centre[index][:, None])
            near, far = _MEET[solids.kind[index]](start, axes @ direction[:, rays],
                                                  solids.size[index])  # fmt: skip
            dark[rays] |= (near <= far) & (near < 1) & (far > 0)
    return dark
