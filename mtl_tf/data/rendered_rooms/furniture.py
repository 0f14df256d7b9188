"""Furniture and ornaments, each assembled from solids in a frame of its own.

Every piece stands on the floor at y = 0 with its back towards -z, so +z is its front.
"""

from __future__ import annotations

from math import cos, sin

from mtl_tf.data.rendered_rooms.solids import FIT, Assembly, Colour, Dice, Look, Point, tinted

WOODS: tuple[tuple[Colour, Colour], ...] = (
    ((0.50, 0.35, 0.21), (0.72, 0.54, 0.36)), ((0.27, 0.17, 0.11), (0.42, 0.29, 0.20)),
    ((0.66, 0.55, 0.43), (0.84, 0.75, 0.62)), ((0.42, 0.40, 0.38), (0.62, 0.60, 0.57)),
    ((0.44, 0.24, 0.14), (0.60, 0.37, 0.24)),
)  # fmt: skip
_FABRICS: tuple[Colour, ...] = (
    (0.55, 0.58, 0.62), (0.38, 0.45, 0.55), (0.46, 0.53, 0.46), (0.66, 0.60, 0.52),
    (0.50, 0.40, 0.36), (0.33, 0.35, 0.38), (0.62, 0.52, 0.53), (0.36, 0.48, 0.49),
)  # fmt: skip
_PAINTS: tuple[Colour, ...] = (
    (0.90, 0.89, 0.86), (0.80, 0.80, 0.79), (0.62, 0.68, 0.68), (0.70, 0.72, 0.62),
    (0.42, 0.46, 0.50), (0.78, 0.70, 0.62),
)  # fmt: skip
_VIVID: tuple[Colour, ...] = (
    (0.93, 0.10, 0.10), (0.98, 0.48, 0.02), (0.98, 0.82, 0.05), (0.15, 0.75, 0.18),
    (0.05, 0.65, 0.85), (0.12, 0.22, 0.92), (0.88, 0.08, 0.62), (0.50, 0.12, 0.80),
)  # fmt: skip


def wood(dice: Dice) -> Look:
    """Return a random wood."""
    dark, light = dice.pick(WOODS)
    return Look(dark, light, "planks", dice.between(0.8, 1.4), gloss=0.08)


def fabric(dice: Dice) -> Look:
    """Return a random fabric: a colour with a pattern."""
    colour = dice.pick(_FABRICS)
    texture = dice.pick(("fabric", "fabric", "fabric", "stripes", "diamonds"))
    return Look(tinted(colour, 0.86), colour, texture, dice.between(0.5, 0.9))


def painted(dice: Dice, texture: str = "plain") -> Look:
    """Return a random paint."""
    colour = dice.pick(_PAINTS)
    return Look(tinted(colour, 0.45), colour, texture, FIT, gloss=0.12)


def bed(into: Assembly, dice: Dice, half: Point) -> None:
    """Add a bed with covers and pillows; `half` is half its size, metres."""
    x, height, z = half
    frame, cover = wood(dice), fabric(dice)
    sheet = Look((0.82, 0.81, 0.79), (0.92, 0.91, 0.89), "fabric", 0.6)
    into.box((0, 0.14, 0), (x, 0.14, z), frame)
    into.box((0, 0.37, 0.03), (x - 0.03, 0.09, z - 0.06), sheet, False)
    into.box((0, 0.41, 0.25 * z), (x - 0.01, 0.07, 0.74 * z), cover)
    into.box((0, height, 0.04 - z), (x, height, 0.04), frame)
    for place in (-0.48, 0.48):
        into.ball((place * x, 0.52, 0.36 - z), (0.40 * x, 0.10, 0.2), sheet, False)


def sofa(into: Assembly, dice: Dice, half: Point) -> None:
    """Add a sofa with cushions; `half` is half its size, metres."""
    x, height, z = half
    cover = fabric(dice)
    cushion = fabric(dice)
    into.box((0, 0.14, 0), (x - 0.16, 0.14, z), cover)
    into.box((0, height, 0.12 - z), (x - 0.16, height, 0.12), cover)
    for side in (-1, 1):
        into.box((side * (x - 0.08), 0.3, 0), (0.08, 0.3, z), cover)
        into.box(
            (side * (x - 0.16) / 2, 0.36, 0.13), ((x - 0.19) / 2, 0.08, z - 0.14), cover, False
        )
    end = dice.pick((-1, 1))
    into.ball((end * (x - 0.42), 0.58, -0.02), (0.21, 0.19, 0.11), cushion, False)


def table(into: Assembly, dice: Dice, half: Point) -> None:
    """Add a table on one leg or four; `half` is half its size, metres."""
    x, height, z = half
    look = wood(dice)
    if dice.chance(0.3):
        into.post((0, 2 * height - 0.02, 0), min(x, z), 0.02, look)
        into.post((0, height, 0), 0.05, height - 0.04, look)
        into.post((0, 0.02, 0), 0.5 * min(x, z), 0.02, look)
        return
    into.box((0, 2 * height - 0.025, 0), (x, 0.025, z), look)
    for left in (-1, 1):
        for front in (-1, 1):
            into.box((left * (x - 0.06), height - 0.025, front * (z - 0.06)),
                     (0.03, height - 0.025, 0.03), look)  # fmt: skip


def chair(into: Assembly, dice: Dice, half: Point, look: Look | None = None) -> None:
    """Add a chair; `half` is half its size, metres."""
    x, height, z = half
    frame = look or dice.pick((wood(dice), painted(dice)))
    seat = look or dice.pick((frame, fabric(dice)))
    into.box((0, 0.44, 0), (x, 0.03, z), seat)
    into.box((0, height + 0.28, 0.025 - z), (x, height - 0.28, 0.025), seat)
    for left in (-1, 1):
        into.box((left * (x - 0.025), 0.28, 0.025 - z), (0.022, 0.28, 0.024), frame, False)
        into.box((left * (x - 0.025), 0.205, z - 0.03), (0.022, 0.205, 0.022), frame, False)


def armchair(into: Assembly, look: Look) -> None:
    """Add an armchair."""
    into.box((0, 0.22, 0), (0.24, 0.22, 0.34), look)
    into.box((0, 0.45, -0.27), (0.24, 0.45, 0.09), look)
    for side in (-1, 1):
        into.box((side * 0.32, 0.31, 0), (0.08, 0.31, 0.36), look)


def cabinet(into: Assembly, dice: Dice, half: Point) -> None:
    """Add a cabinet with doors or drawers; `half` is half its size, metres."""
    x, height, z = half
    look = dice.pick((wood(dice), painted(dice)))
    texture = dice.pick(("doors", "drawers")) if height < 0.6 else "doors"
    front = Look(tinted(look.dark, 0.5), look.light, texture, FIT, gloss=0.1)
    into.box((0, height, -0.015), (x, height, z - 0.015), look)
    into.box((0, height + 0.02, z - 0.015), (x - 0.01, height - 0.035, 0.015), front, False)


def shelf(into: Assembly, dice: Dice, half: Point) -> None:
    """Add a shelf of books; `half` is half its size, metres."""
    x, height, z = half
    look = wood(dice)
    books = Look((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "books", FIT)
    into.box((0, height, -0.02), (x, height, z - 0.02), look)
    into.box((0, height, z - 0.025), (x - 0.03, height - 0.04, 0.02), books, False)


def floor_lamp(into: Assembly, dice: Dice) -> None:
    """Add a floor lamp."""
    metal = Look((0.2, 0.2, 0.2), dice.pick(((0.25, 0.25, 0.26), (0.6, 0.5, 0.35))), gloss=0.3)
    shade = Look((0.9, 0.8, 0.6), dice.pick(((0.97, 0.9, 0.75), (0.9, 0.85, 0.8))), glow=0.45)
    height = dice.between(1.35, 1.65)
    into.post((0, 0.015, 0), 0.15, 0.015, metal, False)
    into.post((0, height / 2, 0), 0.018, height / 2, metal)
    into.post((0, height + 0.08, 0), dice.between(0.16, 0.24), 0.15, shade, False)


def plant(into: Assembly, dice: Dice) -> None:
    """Add a plant in a pot."""
    leaf = Look((0.16, 0.30, 0.15), (0.33, 0.48, 0.27), "fabric", 0.5)
    pot = painted(dice)
    into.post((0, 0.16, 0), 0.17, 0.16, pot)
    into.limb((0, 0.3, 0), (0, 0.8, 0), 0.025, Look((0.3, 0.2, 0.1), (0.4, 0.3, 0.2)))
    for index in range(4):
        turn, tall = index * 1.7 + dice.between(0, 1), dice.between(0.7, 1.15)
        at = (0.15 * cos(turn), tall, 0.15 * sin(turn))
        into.ball(at, (dice.between(0.13, 0.2), dice.between(0.15, 0.26), 0.15), leaf)


def treasure(into: Assembly, dice: Dice, kind: str) -> None:
    """The salient object: the one thing in the room with a strong colour."""
    colour = dice.pick(_VIVID)
    look = Look(tinted(colour, 0.9), colour, "plain", gloss=0.35)
    matt = Look(tinted(colour, 0.8), colour, "fabric", 0.6)
    if kind == "ball":
        radius = dice.between(0.25, 0.38)
        pale = (0.96, 0.95, 0.92) if dice.chance(0.5) else tinted(colour, 0.75)
        striped = Look(pale, colour, "swirl" if dice.chance(0.6) else "plain", FIT, gloss=0.35)
        into.ball((0, radius, 0), (radius, radius, radius), striped)
    elif kind == "vase":
        wide = dice.between(0.19, 0.25)
        into.ball((0, 0.3, 0), (wide, 0.3, wide), look)
        into.post((0, 0.62, 0), 0.08, 0.1, look)
        into.post((0, 0.73, 0), 0.13, 0.02, look)
        into.post((0, 0.02, 0), 0.13, 0.02, look)
    elif kind == "pouf":
        into.post((0, 0.22, 0), dice.between(0.28, 0.36), 0.22, matt)
    elif kind == "cube":
        side = dice.between(0.2, 0.28)
        into.box((0, side, 0), (side, side, side), look)
    elif kind == "chair":
        chair(into, dice, (0.24, 0.47, 0.24), look)
    else:
        armchair(into, matt)
