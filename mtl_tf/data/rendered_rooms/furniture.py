"""Furniture and ornaments, built from solids in local frames.

Every piece stands on the floor at y = 0 and faces +z.
"""

from __future__ import annotations

from math import cos, sin

from mtl_tf.data.rendered_rooms.solids import (
    FIT,
    BufferedGenerator,
    Colour,
    Material,
    Point,
    SceneBuilder,
    scaled,
)

WOODS: tuple[tuple[Colour, Colour], ...] = (
    ((0.50, 0.35, 0.21), (0.72, 0.54, 0.36)),
    ((0.27, 0.17, 0.11), (0.42, 0.29, 0.20)),
    ((0.66, 0.55, 0.43), (0.84, 0.75, 0.62)),
    ((0.42, 0.40, 0.38), (0.62, 0.60, 0.57)),
    ((0.44, 0.24, 0.14), (0.60, 0.37, 0.24)),
)
_FABRICS: tuple[Colour, ...] = (
    (0.55, 0.58, 0.62),
    (0.38, 0.45, 0.55),
    (0.46, 0.53, 0.46),
    (0.66, 0.60, 0.52),
    (0.50, 0.40, 0.36),
    (0.33, 0.35, 0.38),
    (0.62, 0.52, 0.53),
    (0.36, 0.48, 0.49),
)
_PAINTS: tuple[Colour, ...] = (
    (0.90, 0.89, 0.86),
    (0.80, 0.80, 0.79),
    (0.62, 0.68, 0.68),
    (0.70, 0.72, 0.62),
    (0.42, 0.46, 0.50),
    (0.78, 0.70, 0.62),
)
_VIVID: tuple[Colour, ...] = (
    (0.93, 0.10, 0.10),
    (0.98, 0.48, 0.02),
    (0.98, 0.82, 0.05),
    (0.15, 0.75, 0.18),
    (0.05, 0.65, 0.85),
    (0.12, 0.22, 0.92),
    (0.88, 0.08, 0.62),
    (0.50, 0.12, 0.80),
)


def wood(rng: BufferedGenerator) -> Material:
    """Return a random wood material."""
    dark, light = rng.choice(WOODS)
    return Material(dark, light, "planks", rng.uniform(0.8, 1.4), gloss=0.08)


def fabric(rng: BufferedGenerator) -> Material:
    """Return a random fabric material: a colour with a pattern."""
    colour = rng.choice(_FABRICS)
    texture = rng.choice(("fabric", "fabric", "fabric", "stripes", "diamonds"))
    return Material(scaled(colour, 0.86), colour, texture, rng.uniform(0.5, 0.9))


def painted(rng: BufferedGenerator, texture: str = "plain") -> Material:
    """Return a random paint material."""
    colour = rng.choice(_PAINTS)
    return Material(scaled(colour, 0.45), colour, texture, FIT, gloss=0.12)


def bed(builder: SceneBuilder, rng: BufferedGenerator, half: Point) -> None:
    """Add a bed with covers and pillows; `half` is half its size, metres."""
    x, height, z = half
    frame, cover = wood(rng), fabric(rng)
    sheet = Material((0.82, 0.81, 0.79), (0.92, 0.91, 0.89), "fabric", 0.6)
    builder.box((0, 0.14, 0), (x, 0.14, z), frame)
    builder.box((0, 0.37, 0.03), (x - 0.03, 0.09, z - 0.06), sheet, False)
    builder.box((0, 0.41, 0.25 * z), (x - 0.01, 0.07, 0.74 * z), cover)
    builder.box((0, height, 0.04 - z), (x, height, 0.04), frame)
    for side in (-0.48, 0.48):
        builder.ellipsoid((side * x, 0.52, 0.36 - z), (0.40 * x, 0.10, 0.2), sheet, False)


def sofa(builder: SceneBuilder, rng: BufferedGenerator, half: Point) -> None:
    """Add a sofa with cushions; `half` is half its size, metres."""
    x, height, z = half
    cover = fabric(rng)
    cushion = fabric(rng)
    builder.box((0, 0.14, 0), (x - 0.16, 0.14, z), cover)
    builder.box((0, height, 0.12 - z), (x - 0.16, height, 0.12), cover)
    for side in (-1, 1):
        builder.box((side * (x - 0.08), 0.3, 0), (0.08, 0.3, z), cover)
        builder.box(
            (side * (x - 0.16) / 2, 0.36, 0.13), ((x - 0.19) / 2, 0.08, z - 0.14), cover, False
        )
    end = rng.choice((-1, 1))
    builder.ellipsoid((end * (x - 0.42), 0.58, -0.02), (0.21, 0.19, 0.11), cushion, False)


def table(builder: SceneBuilder, rng: BufferedGenerator, half: Point) -> None:
    """Add a table on one leg or four; `half` is half its size, metres."""
    x, height, z = half
    material = wood(rng)
    if rng.bernoulli(0.3):
        builder.cylinder((0, 2 * height - 0.02, 0), min(x, z), 0.02, material)
        builder.cylinder((0, height, 0), 0.05, height - 0.04, material)
        builder.cylinder((0, 0.02, 0), 0.5 * min(x, z), 0.02, material)
        return
    builder.box((0, 2 * height - 0.025, 0), (x, 0.025, z), material)
    for left in (-1, 1):
        for front in (-1, 1):
            corner = (left * (x - 0.06), height - 0.025, front * (z - 0.06))
            builder.box(corner, (0.03, height - 0.025, 0.03), material)


def chair(
    builder: SceneBuilder, rng: BufferedGenerator, half: Point, material: Material | None = None
) -> None:
    """Add a chair; `half` is half its size, metres."""
    x, height, z = half
    frame = material or rng.choice((wood(rng), painted(rng)))
    seat = material or rng.choice((frame, fabric(rng)))
    builder.box((0, 0.44, 0), (x, 0.03, z), seat)
    builder.box((0, height + 0.28, 0.025 - z), (x, height - 0.28, 0.025), seat)
    for left in (-1, 1):
        builder.box((left * (x - 0.025), 0.28, 0.025 - z), (0.022, 0.28, 0.024), frame, False)
        builder.box((left * (x - 0.025), 0.205, z - 0.03), (0.022, 0.205, 0.022), frame, False)


def armchair(builder: SceneBuilder, material: Material) -> None:
    """Add an armchair."""
    builder.box((0, 0.22, 0), (0.24, 0.22, 0.34), material)
    builder.box((0, 0.45, -0.27), (0.24, 0.45, 0.09), material)
    for side in (-1, 1):
        builder.box((side * 0.32, 0.31, 0), (0.08, 0.31, 0.36), material)


def cabinet(builder: SceneBuilder, rng: BufferedGenerator, half: Point) -> None:
    """Add a cabinet with doors or drawers; `half` is half its size, metres."""
    x, height, z = half
    material = rng.choice((wood(rng), painted(rng)))
    texture = rng.choice(("doors", "drawers")) if height < 0.6 else "doors"
    front = Material(scaled(material.dark, 0.5), material.light, texture, FIT, gloss=0.1)
    builder.box((0, height, -0.015), (x, height, z - 0.015), material)
    builder.box((0, height + 0.02, z - 0.015), (x - 0.01, height - 0.035, 0.015), front, False)


def shelf(builder: SceneBuilder, rng: BufferedGenerator, half: Point) -> None:
    """Add a shelf of books; `half` is half its size, metres."""
    x, height, z = half
    material = wood(rng)
    books = Material((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "books", FIT)
    builder.box((0, height, -0.02), (x, height, z - 0.02), material)
    builder.box((0, height, z - 0.025), (x - 0.03, height - 0.04, 0.02), books, False)


def floor_lamp(builder: SceneBuilder, rng: BufferedGenerator) -> None:
    """Add a floor lamp."""
    metal = Material((0.2, 0.2, 0.2), rng.choice(((0.25, 0.25, 0.26), (0.6, 0.5, 0.35))), gloss=0.3)
    shade = Material((0.9, 0.8, 0.6), rng.choice(((0.97, 0.9, 0.75), (0.9, 0.85, 0.8))), glow=0.45)
    height = rng.uniform(1.35, 1.65)
    builder.cylinder((0, 0.015, 0), 0.15, 0.015, metal, False)
    builder.cylinder((0, height / 2, 0), 0.018, height / 2, metal)
    builder.cylinder((0, height + 0.08, 0), rng.uniform(0.16, 0.24), 0.15, shade, False)


def plant(builder: SceneBuilder, rng: BufferedGenerator) -> None:
    """Add a plant in a pot."""
    leaf = Material((0.16, 0.30, 0.15), (0.33, 0.48, 0.27), "fabric", 0.5)
    pot = painted(rng)
    builder.cylinder((0, 0.16, 0), 0.17, 0.16, pot)
    builder.capsule((0, 0.3, 0), (0, 0.8, 0), 0.025, Material((0.3, 0.2, 0.1), (0.4, 0.3, 0.2)))
    for index in range(4):
        angle, height = index * 1.7 + rng.uniform(0, 1), rng.uniform(0.7, 1.15)
        centre = (0.15 * cos(angle), height, 0.15 * sin(angle))
        builder.ellipsoid(centre, (rng.uniform(0.13, 0.2), rng.uniform(0.15, 0.26), 0.15), leaf)


def salient_object(builder: SceneBuilder, rng: BufferedGenerator, kind: str) -> None:
    """Add the salient object: the only object with a saturated colour."""
    colour = rng.choice(_VIVID)
    material = Material(scaled(colour, 0.9), colour, "plain", gloss=0.35)
    matt = Material(scaled(colour, 0.8), colour, "fabric", 0.6)
    if kind == "ball":
        radius = rng.uniform(0.25, 0.38)
        pale = (0.96, 0.95, 0.92) if rng.bernoulli(0.5) else scaled(colour, 0.75)
        striped = Material(
            pale, colour, "swirl" if rng.bernoulli(0.6) else "plain", FIT, gloss=0.35
        )
        builder.ellipsoid((0, radius, 0), (radius, radius, radius), striped)
    elif kind == "vase":
        wide = rng.uniform(0.19, 0.25)
        builder.ellipsoid((0, 0.3, 0), (wide, 0.3, wide), material)
        builder.cylinder((0, 0.62, 0), 0.08, 0.1, material)
        builder.cylinder((0, 0.73, 0), 0.13, 0.02, material)
        builder.cylinder((0, 0.02, 0), 0.13, 0.02, material)
    elif kind == "pouf":
        builder.cylinder((0, 0.22, 0), rng.uniform(0.28, 0.36), 0.22, matt)
    elif kind == "cube":
        side = rng.uniform(0.2, 0.28)
        builder.box((0, side, 0), (side, side, side), material)
    elif kind == "chair":
        chair(builder, rng, (0.24, 0.47, 0.24), material)
    else:
        armchair(builder, matt)
