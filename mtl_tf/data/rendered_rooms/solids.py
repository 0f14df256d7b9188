"""Building blocks of room scenes: looks, random numbers and the assembly of solids."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, sin, sqrt
from typing import NamedTuple, TypeVar

import numpy as np

from mtl_tf.data.rendered_rooms.ray_casting import BOX, CAPSULE, CYLINDER, SPHERE

CLASSES: tuple[str, ...] = (
    "wall", "floor", "ceiling", "window", "picture", "rug", "bed", "sofa", "table", "chair",
    "cabinet", "object", "person",
)  # fmt: skip
Colour = tuple[float, float, float]
Point = tuple[float, float, float]
Item = TypeVar("Item")
FIT = 0.0


class Look(NamedTuple):
    """Two sRGB colours mixed by a texture; `scale` is metres per tile, `FIT` one tile per face."""

    dark: Colour
    light: Colour
    texture: str = "plain"
    scale: float = 1.0
    glow: float = 0.0
    gloss: float = 0.0


class Dice:
    """Random numbers drawn in blocks, since single draws from a generator are slow."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._numbers: list[float] = []

    def between(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        if not self._numbers:
            self._numbers = self._generator.random(256).tolist()
        return low + (high - low) * self._numbers.pop()

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of `items`."""
        return items[min(int(self.between(0, len(items))), len(items) - 1)]

    def chance(self, share: float) -> bool:
        """Return true with probability `share`."""
        return self.between(0, 1) < share


class Assembly:
    """Collects the solids of a scene; `stand` moves on to the next object and its place."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.centres: list[Point] = []
        self.axes: list[tuple[Point, Point, Point]] = []
        self.sizes: list[Point] = []
        self.looks: list[Look] = []
        self.instances: list[int] = []
        self.classes: list[int] = []
        self.parts: list[int] = []
        self.casts: list[bool] = []
        self.instance = 0

    def stand(self, name: str, x: float, z: float, yaw: float, y: float = 0.0) -> None:
        """Begin the next object: its class, place and direction."""
        self.instance += 1
        self._class = CLASSES.index(name)
        self._base = (x, y, z)
        self._cos, self._sin = cos(yaw), sin(yaw)

    def _turn(self, x: float, y: float, z: float) -> Point:
        return (self._cos * x + self._sin * z, y, self._cos * z - self._sin * x)

    def _append(
        self, kind: int, at: Point, axes: tuple[Point, Point, Point], size: Point, look: Look,
        part: int, casts: bool,
    ) -> None:  # fmt: skip
        x, y, z = self._turn(*at)
        self.kinds.append(kind)
        self.centres.append((x + self._base[0], y + self._base[1], z + self._base[2]))
        self.axes.append(axes)
        self.sizes.append(size)
        self.looks.append(look)
        self.instances.append(self.instance)
        self.classes.append(self._class)
        self.parts.append(part)
        self.casts.append(casts)

    def box(self, at: Point, half: Point, look: Look, casts: bool = True) -> None:
        """Add a box around `at`; `half` is half its size, metres."""
        axes = (self._turn(1, 0, 0), (0.0, 1.0, 0.0), self._turn(0, 0, 1))
        self._append(BOX, at, axes, half, look, 0, casts)

    def post(self, at: Point, radius: float, half: float, look: Look, casts: bool = True) -> None:
        """Add an upright cylinder around `at`."""
        axes = (self._turn(1, 0, 0), (0.0, 1.0, 0.0), self._turn(0, 0, 1))
        self._append(CYLINDER, at, axes, (radius, half, radius), look, 0, casts)

    def ball(self, at: Point, radii: Point, look: Look, part: int = 0, casts: bool = True) -> None:
        """An ellipsoid: a unit sphere with stretched axes."""
        axes = (
            self._turn(1 / radii[0], 0, 0), (0.0, 1 / radii[1], 0.0), self._turn(0, 0, 1 / radii[2])
        )  # fmt: skip
        self._append(SPHERE, at, axes, (1.0, 0.0, 1.0), look, part, casts)

    def limb(
        self, start: Point, end: Point, radius: float, look: Look, part: int = 0, casts: bool = True
    ) -> None:
        """A capsule between two joints."""
        x, y, z = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
        length = max(sqrt(x * x + y * y + z * z), 1e-6)
        x, y, z = x / length, y / length, z / length
        flat = sqrt(y * y + z * z)
        side = (flat, -x * y / flat, -x * z / flat) if flat > 1e-3 else (0.0, 1.0, 0.0)
        depth = (side[1] * z - side[2] * y, side[2] * x - side[0] * z, side[0] * y - side[1] * x)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
        axes = (self._turn(*side), self._turn(x, y, z), self._turn(*depth))
        self._append(CAPSULE, middle, axes, (radius, length / 2, radius), look, part, casts)


def tinted(colour: Colour, factor: float) -> Colour:
    """Return a colour scaled by a factor."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
