"""Building blocks of room scenes: materials, random numbers and a builder of solids."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, sin, sqrt
from typing import NamedTuple, TypeVar

import numpy as np

from mtl_tf.data.rendered_rooms.ray_casting import BOX, CAPSULE, CYLINDER, SPHERE

CLASSES: tuple[str, ...] = (
    "wall",
    "floor",
    "ceiling",
    "window",
    "picture",
    "rug",
    "bed",
    "sofa",
    "table",
    "chair",
    "cabinet",
    "object",
    "person",
)
Colour = tuple[float, float, float]
Point = tuple[float, float, float]
Item = TypeVar("Item")
FIT = 0.0


class Material(NamedTuple):
    """Material of a surface: two sRGB colours blended by a texture.

    Attributes:
        dark: colour where the texture is 0.
        light: colour where the texture is 1.
        texture: a name from `TEXTURES`.
        scale: metres per texture tile, or `FIT` for one tile per face.
        glow: emitted light.
        gloss: strength of specular reflection.
    """

    dark: Colour
    light: Colour
    texture: str = "plain"
    scale: float = 1.0
    glow: float = 0.0
    gloss: float = 0.0


class BufferedGenerator:
    """Random numbers that are drawn in blocks, since single draws from a generator are slow."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._numbers: list[float] = []

    def uniform(self, low: float, high: float) -> float:
        """Return a random number in [`low`, `high`)."""
        if not self._numbers:
            self._numbers = self._generator.random(256).tolist()
        return low + (high - low) * self._numbers.pop()

    def choice(self, items: Sequence[Item]) -> Item:
        """Return a random element of `items`."""
        return items[min(int(self.uniform(0, len(items))), len(items) - 1)]

    def bernoulli(self, probability: float) -> bool:
        """Return true with the given probability."""
        return self.uniform(0, 1) < probability


class SceneBuilder:
    """Builder of the solids of a scene, in the local frame of the current object.

    `start_object` sets the frame and the labels of the following solids.
    """

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.centres: list[Point] = []
        self.axes: list[tuple[Point, Point, Point]] = []
        self.sizes: list[Point] = []
        self.materials: list[Material] = []
        self.instances: list[int] = []
        self.classes: list[int] = []
        self.parts: list[int] = []
        self.casts: list[bool] = []
        self.instance = 0

    def start_object(self, name: str, x: float, z: float, yaw: float, y: float = 0.0) -> None:
        """Start the next object.

        Args:
            name: its class, one of `CLASSES`.
            x: position of its origin, metres.
            z: position of its origin, metres.
            yaw: rotation about the vertical axis, radians.
            y: height of its origin, metres.
        """
        self.instance += 1
        self._class = CLASSES.index(name)
        self._base = (x, y, z)
        self._cos, self._sin = cos(yaw), sin(yaw)

    def _rotate(self, x: float, y: float, z: float) -> Point:
        return (self._cos * x + self._sin * z, y, self._cos * z - self._sin * x)

    def _append(
        self,
        kind: int,
        centre: Point,
        axes: tuple[Point, Point, Point],
        size: Point,
        material: Material,
        part: int,
        casts: bool,
    ) -> None:
        x, y, z = self._rotate(*centre)
        self.kinds.append(kind)
        self.centres.append((x + self._base[0], y + self._base[1], z + self._base[2]))
        self.axes.append(axes)
        self.sizes.append(size)
        self.materials.append(material)
        self.instances.append(self.instance)
        self.classes.append(self._class)
        self.parts.append(part)
        self.casts.append(casts)

    def box(self, centre: Point, half: Point, material: Material, casts: bool = True) -> None:
        """Add a box at `centre`; `half` is half its size, metres."""
        axes = (self._rotate(1, 0, 0), (0.0, 1.0, 0.0), self._rotate(0, 0, 1))
        self._append(BOX, centre, axes, half, material, 0, casts)

    def cylinder(
        self, centre: Point, radius: float, half: float, material: Material, casts: bool = True
    ) -> None:
        """Add an upright cylinder at `centre`; `half` is half its height, metres."""
        axes = (self._rotate(1, 0, 0), (0.0, 1.0, 0.0), self._rotate(0, 0, 1))
        self._append(CYLINDER, centre, axes, (radius, half, radius), material, 0, casts)

    def ellipsoid(
        self, centre: Point, radii: Point, material: Material, part: int = 0, casts: bool = True
    ) -> None:
        """Add an ellipsoid at `centre`: a unit sphere with stretched axes."""
        across, along = self._rotate(1 / radii[0], 0, 0), self._rotate(0, 0, 1 / radii[2])
        axes = (across, (0.0, 1 / radii[1], 0.0), along)
        self._append(SPHERE, centre, axes, (1.0, 0.0, 1.0), material, part, casts)

    def capsule(
        self,
        start: Point,
        end: Point,
        radius: float,
        material: Material,
        part: int = 0,
        casts: bool = True,
    ) -> None:
        """Add a capsule between two points."""
        x, y, z = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
        length = max(sqrt(x * x + y * y + z * z), 1e-6)
        x, y, z = x / length, y / length, z / length
        flat = sqrt(y * y + z * z)
        side = (flat, -x * y / flat, -x * z / flat) if flat > 1e-3 else (0.0, 1.0, 0.0)
        depth = (side[1] * z - side[2] * y, side[2] * x - side[0] * z, side[0] * y - side[1] * x)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
        axes = (self._rotate(*side), self._rotate(x, y, z), self._rotate(*depth))
        self._append(CAPSULE, middle, axes, (radius, length / 2, radius), material, part, casts)


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a colour scaled by a factor."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
