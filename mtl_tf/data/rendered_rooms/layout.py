"""Layout of a random room: positions of furniture, wall objects and the camera."""

from __future__ import annotations

from collections.abc import Callable
from math import atan2, cos, pi, radians, sin

from mtl_tf.data.rendered_rooms import furniture
from mtl_tf.data.rendered_rooms.solids import (
    FIT,
    BufferedGenerator,
    Colour,
    Material,
    Point,
    SceneBuilder,
    scaled,
)

WALL_TONES: tuple[Colour, ...] = (
    (0.93, 0.91, 0.87),
    (0.80, 0.84, 0.78),
    (0.78, 0.84, 0.89),
    (0.92, 0.83, 0.79),
    (0.90, 0.85, 0.75),
    (0.84, 0.84, 0.84),
    (0.80, 0.68, 0.60),
    (0.52, 0.62, 0.64),
    (0.93, 0.89, 0.77),
    (0.74, 0.70, 0.77),
)
_MAX_ATTEMPTS = 10


class Layout:
    """Occupancy of the floor and the walls of a random room.

    Attributes:
        width: extent along x, metres.
        depth: extent along z, metres.
        height: height of the room, metres.
        occupied: footprints (low x, high x, low z, high z), which do not overlap.
        on_wall: occupied stretches of walls (wall, centre, half width), metres.
        eye: position (x, z) of the camera, metres.
        heading: direction of the camera, radians.
        half_view: half of the horizontal field of view, radians.
        walls: the three walls that the camera faces, best visible first.
    """

    def __init__(self, rng: BufferedGenerator) -> None:
        self.rng = rng
        self.width, self.depth = rng.uniform(3.4, 6.4), rng.uniform(3.4, 6.4)
        self.height = rng.uniform(2.4, 3.1)
        self.occupied: list[tuple[float, float, float, float]] = []
        self.on_wall: list[tuple[int, float, float]] = []
        side = rng.uniform(0, 4) // 1
        margin, along = rng.uniform(0.35, 0.8), rng.uniform(0.2, 0.8)
        self.eye = self.wall_point(int(side), along, margin)
        goal = (self.width * rng.uniform(0.38, 0.62), self.depth * rng.uniform(0.38, 0.62))
        self.heading = atan2(goal[0] - self.eye[0], goal[1] - self.eye[1])
        self.half_view = radians(rng.uniform(58, 74) / 2)
        near = (self.eye[0] + 0.5 * sin(self.heading), self.eye[1] + 0.5 * cos(self.heading))
        self.reserve(near[0], near[1], 0.65, 0.65)
        ahead = [cos(self.heading - wall * pi / 2) for wall in range(4)]
        self.walls = sorted(range(4), key=lambda wall: ahead[wall])[:3]

    def length(self, wall: int) -> float:
        """Return the length of wall 0 to 3, metres."""
        return self.width if wall % 2 == 0 else self.depth

    def wall_point(self, wall: int, along: float, gap: float) -> tuple[float, float]:
        """Return the point (x, z) at a distance of `gap` metres from a wall.

        Wall k faces into the room at yaw k * 90 degrees; `along` is the position on it in [0, 1].
        """
        points = (
            (along * self.width, gap),
            (gap, along * self.depth),
            (along * self.width, self.depth - gap),
            (self.width - gap, along * self.depth),
        )
        return points[wall]

    def reserve(self, x: float, z: float, half_x: float, half_z: float) -> bool:
        """Reserve a rectangle of the floor; return whether it was free."""
        low_x, high_x, low_z, high_z = x - half_x, x + half_x, z - half_z, z + half_z
        for left, right, back, front in self.occupied:
            if low_x < right and high_x > left and low_z < front and high_z > back:
                return False
        self.occupied.append((low_x, high_x, low_z, high_z))
        return True

    def place_at_wall(self, half: Point) -> tuple[float, float, float] | None:
        """Reserve a position (x, z, yaw) at a visible wall; `None` if there is none."""
        for attempt in range(_MAX_ATTEMPTS):
            wall = self.rng.choice(self.walls[: 2 if attempt < 4 else 3])
            length = self.length(wall)
            if length < 2 * half[0] + 0.1:
                continue
            edge = (half[0] + 0.04) / length
            along = self.rng.uniform(edge, 1 - edge)
            x, z = self.wall_point(wall, along, half[2] + 0.015)
            is_side = wall % 2 == 1
            half_x, half_z = (half[2], half[0]) if is_side else (half[0], half[2])
            if self.reserve(x, z, half_x + 0.03, half_z + 0.03):
                self.on_wall.append((wall, along * length, half[0] if half[1] > 0.42 else 0.0))
                return x, z, wall * pi / 2
        return None

    def place_in_view(self, near: float, far: float, reach: float) -> tuple[float, float] | None:
        """Reserve a position (x, z) in view of the camera; `None` if there is none."""
        for _ in range(2 * _MAX_ATTEMPTS):
            distance = self.rng.uniform(near, far)
            angle = self.heading + self.rng.uniform(-0.75, 0.75) * self.half_view
            x, z = self.eye[0] + distance * sin(angle), self.eye[1] + distance * cos(angle)
            if not (reach < x < self.width - reach and reach < z < self.depth - reach):
                continue
            if self.reserve(x, z, reach, reach):
                return x, z
        return None

    def place_on_wall(self, half: float) -> tuple[int, float] | None:
        """Reserve a stretch of a wall (wall, position in [0, 1]); `None` if there is none."""
        for _ in range(_MAX_ATTEMPTS):
            wall = self.rng.choice(self.walls[:2])
            length = self.length(wall)
            centre = self.rng.uniform(half + 0.15, length - half - 0.15)
            others = [(other, reach) for w, other, reach in self.on_wall if w == wall]
            if all(abs(centre - other) > half + reach + 0.05 for other, reach in others):
                self.on_wall.append((wall, centre, half))
                return wall, centre / length
        return None


def place_furniture(layout: Layout, builder: SceneBuilder, rng: BufferedGenerator) -> None:
    """Furnish a room: place the pieces of a plan, then a table and ornaments that fit."""
    pieces: list[tuple[str, Callable[[SceneBuilder, BufferedGenerator, Point], None], Point]] = []
    plan = rng.choice(("living", "living", "bedroom", "dining", "study"))
    if plan in ("living", "study"):
        pieces.append(("sofa", furniture.sofa, (rng.uniform(0.8, 1.15), 0.41, 0.44)))
    if plan == "bedroom":
        pieces.append(("bed", furniture.bed, (rng.uniform(0.55, 0.9), 0.5, 1.02)))
    if plan == "study":
        pieces.append(("table", furniture.table, (rng.uniform(0.55, 0.8), 0.37, 0.35)))
    low = (rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.45), 0.22)
    tall = (rng.uniform(0.4, 0.7), rng.uniform(0.85, 1.05), rng.uniform(0.16, 0.28))
    pieces.append(("cabinet", furniture.cabinet, rng.choice((low, tall))))
    if rng.bernoulli(0.75):
        pieces.append(("cabinet", rng.choice((furniture.shelf, furniture.cabinet)), tall))
    pieces.append(("chair", furniture.chair, (0.22, 0.46, 0.23)))
    if rng.bernoulli(0.6):
        pieces.append(("chair", furniture.chair, (0.22, 0.46, 0.23)))
    centre = (layout.width * rng.uniform(0.4, 0.6), layout.depth * rng.uniform(0.4, 0.6))
    if rng.bernoulli(0.75):
        builder.start_object("rug", *centre, rng.choice((0.0, pi / 2)))
        tone = rng.choice(WALL_TONES)
        pattern = rng.choice(("rug", "stripes", "checker", "fabric"))
        material = Material(scaled(tone, 0.5), scaled(tone, 0.9), pattern, FIT)
        builder.box(
            (0, 0.006, 0), (rng.uniform(0.8, 1.2), 0.006, rng.uniform(0.6, 0.9)), material, False
        )
    for name, build, half in pieces:
        spot = layout.place_at_wall(half)
        if spot is not None:
            builder.start_object(name, *spot)
            build(builder, rng, half)
    if plan == "dining" or rng.bernoulli(0.6):
        half = (rng.uniform(0.45, 0.7), 0.37 if plan == "dining" else 0.21, rng.uniform(0.35, 0.45))
        for _ in range(4):
            if layout.reserve(*centre, half[0] + 0.02, half[2] + 0.02):
                builder.start_object("table", *centre, 0.0)
                furniture.table(builder, rng, half)
                if plan == "dining":
                    _seats(layout, builder, rng, centre, half[2])
                break
            centre = (
                layout.width * rng.uniform(0.35, 0.65),
                layout.depth * rng.uniform(0.35, 0.65),
            )
    for build_small in (furniture.floor_lamp, furniture.plant):
        spot = layout.place_at_wall((0.28, 0.3, 0.28)) if rng.bernoulli(0.5) else None
        if spot is not None:
            builder.start_object("object", *spot)
            build_small(builder, rng)


def _seats(
    layout: Layout,
    builder: SceneBuilder,
    rng: BufferedGenerator,
    centre: tuple[float, float],
    half: float,
) -> None:
    """Add chairs on both long sides of a table of depth `2 * half`."""
    for side in (-1, 1):
        z = centre[1] + side * (half + 0.27)
        if layout.reserve(centre[0], z, 0.23, 0.24):
            builder.start_object("chair", centre[0], z, pi if side > 0 else 0.0)
            furniture.chair(builder, rng, (0.22, 0.46, 0.23))


def place_on_walls(layout: Layout, builder: SceneBuilder, rng: BufferedGenerator) -> Point:
    """Add a window and pictures to the walls; return the position of the daylight."""
    daylight = (layout.width / 2, layout.height - 0.4, layout.depth / 2)
    half, tall = rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.62)
    slot = layout.place_on_wall(half)
    if slot is not None:
        x, z = layout.wall_point(slot[0], slot[1], 0.01)
        builder.start_object("window", x, z, slot[0] * pi / 2, y=1.5)
        pane = Material((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "window", FIT, glow=1.0)
        builder.box((0, 0, 0), (half, tall, 0.02), pane, casts=False)
        x, z = layout.wall_point(slot[0], slot[1], 0.3)
        daylight = (x, 1.75, z)
    for _ in range(3):
        half, tall = rng.uniform(0.22, 0.5), rng.uniform(0.2, 0.38)
        slot = layout.place_on_wall(half)
        if slot is not None:
            x, z = layout.wall_point(slot[0], slot[1], 0.01)
            builder.start_object("picture", x, z, slot[0] * pi / 2, y=rng.uniform(1.5, 1.65))
            art = Material(
                (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), f"painting {int(rng.uniform(0, 6))}", FIT
            )
            builder.box((0, 0, 0), (half, tall, 0.015), art, casts=False)
    return daylight
