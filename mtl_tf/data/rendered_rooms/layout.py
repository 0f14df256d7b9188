"""Layout of a random room: places of furniture and wall objects, and the camera."""

from __future__ import annotations

from collections.abc import Callable
from math import atan2, cos, pi, radians, sin

from mtl_tf.data.rendered_rooms import furniture
from mtl_tf.data.rendered_rooms.solids import FIT, Assembly, Colour, Dice, Look, Point, tinted

WALL_TONES: tuple[Colour, ...] = (
    (0.93, 0.91, 0.87), (0.80, 0.84, 0.78), (0.78, 0.84, 0.89), (0.92, 0.83, 0.79),
    (0.90, 0.85, 0.75), (0.84, 0.84, 0.84), (0.80, 0.68, 0.60), (0.52, 0.62, 0.64),
    (0.93, 0.89, 0.77), (0.74, 0.70, 0.77),
)  # fmt: skip
_TRIES = 10


class Layout:
    """Free floor space: footprints (low x, high x, low z, high z) that may not overlap."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.width, self.depth = dice.between(3.4, 6.4), dice.between(3.4, 6.4)
        self.height = dice.between(2.4, 3.1)
        self.taken: list[tuple[float, float, float, float]] = []
        self.on_wall: list[tuple[int, float, float]] = []
        side = dice.between(0, 4) // 1
        margin, along = dice.between(0.35, 0.8), dice.between(0.2, 0.8)
        self.eye = self.wall_point(int(side), along, margin)
        goal = (self.width * dice.between(0.38, 0.62), self.depth * dice.between(0.38, 0.62))
        self.heading = atan2(goal[0] - self.eye[0], goal[1] - self.eye[1])
        self.half_view = radians(dice.between(58, 74) / 2)
        near = (self.eye[0] + 0.5 * sin(self.heading), self.eye[1] + 0.5 * cos(self.heading))
        self.claim(near[0], near[1], 0.65, 0.65)
        ahead = [cos(self.heading - wall * pi / 2) for wall in range(4)]
        self.walls = sorted(range(4), key=lambda wall: ahead[wall])[:3]

    def length(self, wall: int) -> float:
        """Return the length of wall 0 to 3, metres."""
        return self.width if wall % 2 == 0 else self.depth

    def wall_point(self, wall: int, along: float, gap: float) -> tuple[float, float]:
        """A point `gap` metres off a wall; wall k faces into the room at yaw k * 90 degrees."""
        return (
            (along * self.width, gap), (gap, along * self.depth),
            (along * self.width, self.depth - gap), (self.width - gap, along * self.depth),
        )[wall]  # fmt: skip

    def claim(self, x: float, z: float, half_x: float, half_z: float) -> bool:
        """Reserve a rectangle of the floor; return whether it was free."""
        low_x, high_x, low_z, high_z = x - half_x, x + half_x, z - half_z, z + half_z
        for left, right, back, front in self.taken:
            if low_x < right and high_x > left and low_z < front and high_z > back:
                return False
        self.taken.append((low_x, high_x, low_z, high_z))
        return True

    def against_wall(self, half: Point) -> tuple[float, float, float] | None:
        """A free place (x, z, yaw) with the back to a wall that the camera sees."""
        for attempt in range(_TRIES):
            wall = self.dice.pick(self.walls[: 2 if attempt < 4 else 3])
            length = self.length(wall)
            if length < 2 * half[0] + 0.1:
                continue
            edge = (half[0] + 0.04) / length
            along = self.dice.between(edge, 1 - edge)
            x, z = self.wall_point(wall, along, half[2] + 0.015)
            turned = wall % 2 == 1
            if self.claim(x, z, half[2 if turned else 0] + 0.03, half[0 if turned else 2] + 0.03):
                self.on_wall.append((wall, along * length, half[0] if half[1] > 0.42 else 0.0))
                return x, z, wall * pi / 2
        return None

    def in_view(self, near: float, far: float, reach: float) -> tuple[float, float] | None:
        """Return a free place (x, z) in view of the camera, if one is found."""
        for _ in range(2 * _TRIES):
            away = self.dice.between(near, far)
            angle = self.heading + self.dice.between(-0.75, 0.75) * self.half_view
            x, z = self.eye[0] + away * sin(angle), self.eye[1] + away * cos(angle)
            if not (reach < x < self.width - reach and reach < z < self.depth - reach):
                continue
            if self.claim(x, z, reach, reach):
                return x, z
        return None

    def wall_slot(self, half: float) -> tuple[int, float] | None:
        """A free stretch of wall (wall, share of its length) for something that hangs there."""
        for _ in range(_TRIES):
            wall = self.dice.pick(self.walls[:2])
            length = self.length(wall)
            at = self.dice.between(half + 0.15, length - half - 0.15)
            if all(wall != other or abs(at - place) > half + reach + 0.05
                   for other, place, reach in self.on_wall):  # fmt: skip
                self.on_wall.append((wall, at, half))
                return wall, at / length
        return None


def furnish(layout: Layout, into: Assembly, dice: Dice) -> None:
    """Furnish a room: a plan of pieces, then what fits beside them."""
    pieces: list[tuple[str, Callable[[Assembly, Dice, Point], None], Point]] = []
    plan = dice.pick(("living", "living", "bedroom", "dining", "study"))
    if plan in ("living", "study"):
        pieces.append(("sofa", furniture.sofa, (dice.between(0.8, 1.15), 0.41, 0.44)))
    if plan == "bedroom":
        pieces.append(("bed", furniture.bed, (dice.between(0.55, 0.9), 0.5, 1.02)))
    if plan == "study":
        pieces.append(("table", furniture.table, (dice.between(0.55, 0.8), 0.37, 0.35)))
    low = (dice.between(0.4, 0.75), dice.between(0.3, 0.45), 0.22)
    tall = (dice.between(0.4, 0.7), dice.between(0.85, 1.05), dice.between(0.16, 0.28))
    pieces.append(("cabinet", furniture.cabinet, dice.pick((low, tall))))
    if dice.chance(0.75):
        pieces.append(("cabinet", dice.pick((furniture.shelf, furniture.cabinet)), tall))
    pieces.append(("chair", furniture.chair, (0.22, 0.46, 0.23)))
    if dice.chance(0.6):
        pieces.append(("chair", furniture.chair, (0.22, 0.46, 0.23)))
    centre = (layout.width * dice.between(0.4, 0.6), layout.depth * dice.between(0.4, 0.6))
    if dice.chance(0.75):
        into.stand("rug", *centre, dice.pick((0.0, pi / 2)))
        tone = dice.pick(WALL_TONES)
        pattern = dice.pick(("rug", "stripes", "checker", "fabric"))
        look = Look(tinted(tone, 0.5), tinted(tone, 0.9), pattern, FIT)
        into.box(
            (0, 0.006, 0), (dice.between(0.8, 1.2), 0.006, dice.between(0.6, 0.9)), look, False
        )
    for name, build, half in pieces:
        spot = layout.against_wall(half)
        if spot is not None:
            into.stand(name, *spot)
            build(into, dice, half)
    if plan == "dining" or dice.chance(0.6):
        half = (
            dice.between(0.45, 0.7),
            0.37 if plan == "dining" else 0.21,
            dice.between(0.35, 0.45),
        )
        for _ in range(4):
            if layout.claim(*centre, half[0] + 0.02, half[2] + 0.02):
                into.stand("table", *centre, 0.0)
                furniture.table(into, dice, half)
                if plan == "dining":
                    _seats(layout, into, dice, centre, half[2])
                break
            centre = (
                layout.width * dice.between(0.35, 0.65),
                layout.depth * dice.between(0.35, 0.65),
            )
    for build_small in (furniture.floor_lamp, furniture.plant):
        spot = layout.against_wall((0.28, 0.3, 0.28)) if dice.chance(0.5) else None
        if spot is not None:
            into.stand("object", *spot)
            build_small(into, dice)


def _seats(
    layout: Layout, into: Assembly, dice: Dice, centre: tuple[float, float], half: float
) -> None:
    """Chairs on both long sides of a table that is twice `half` deep."""
    for side in (-1, 1):
        z = centre[1] + side * (half + 0.27)
        if layout.claim(centre[0], z, 0.23, 0.24):
            into.stand("chair", centre[0], z, pi if side > 0 else 0.0)
            furniture.chair(into, dice, (0.22, 0.46, 0.23))


def hang(layout: Layout, into: Assembly, dice: Dice) -> Point:
    """Puts a window and pictures on the walls; returns the middle of a window."""
    daylight = (layout.width / 2, layout.height - 0.4, layout.depth / 2)
    half, tall = dice.between(0.5, 0.9), dice.between(0.5, 0.62)
    slot = layout.wall_slot(half)
    if slot is not None:
        x, z = layout.wall_point(slot[0], slot[1], 0.01)
        into.stand("window", x, z, slot[0] * pi / 2, y=1.5)
        pane = Look((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "window", FIT, glow=1.0)
        into.box((0, 0, 0), (half, tall, 0.02), pane, casts=False)
        x, z = layout.wall_point(slot[0], slot[1], 0.3)
        daylight = (x, 1.75, z)
    for _ in range(3):
        half, tall = dice.between(0.22, 0.5), dice.between(0.2, 0.38)
        slot = layout.wall_slot(half)
        if slot is not None:
            x, z = layout.wall_point(slot[0], slot[1], 0.01)
            into.stand("picture", x, z, slot[0] * pi / 2, y=dice.between(1.5, 1.65))
            art = Look((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), f"painting {int(dice.between(0, 6))}", FIT)
            into.box((0, 0, 0), (half, tall, 0.015), art, casts=False)
    return daylight
