"""Random furnished rooms: `room` draws one scene, ready to be traced and shaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, radians, sin, tan

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.furniture import WOODS, treasure
from mtl_tf.data.rendered_rooms.layout import WALL_TONES, Layout, furnish, hang
from mtl_tf.data.rendered_rooms.mannequin import mannequin
from mtl_tf.data.rendered_rooms.ray_casting import BOX, Camera, Floats, Solids
from mtl_tf.data.rendered_rooms.shading import Lamp, Looks, linear
from mtl_tf.data.rendered_rooms.solids import CLASSES, Assembly, Colour, Dice, Look, Point, tinted
from mtl_tf.data.rendered_rooms.textures import TEXTURES

_TILES: tuple[tuple[Colour, Colour], ...] = (
    ((0.55, 0.53, 0.50), (0.84, 0.82, 0.78)), ((0.40, 0.40, 0.41), (0.62, 0.63, 0.64)),
    ((0.50, 0.38, 0.32), (0.72, 0.52, 0.43)),
)  # fmt: skip
_SALIENT = ("ball", "ball", "vase", "vase", "pouf", "cube", "chair", "armchair", "armchair")
_REACH = {"ball": 0.4, "vase": 0.28, "pouf": 0.38, "cube": 0.38, "chair": 0.36, "armchair": 0.5}
_PERSON_SHARE = 0.68

NOBODY = 255
_ROOM_CLASSES = ("wall", "wall", "floor", "ceiling", "wall", "wall")


@dataclass(frozen=True)
class Scene:
    """A room, what is in it and how it is lit.

    Tables have one row per surface: first the solids, then the six sides of the room in the order
    low x, high x, floor, ceiling, low z, high z.
    """

    camera: Camera
    room: Floats
    solids: Solids
    casts: NDArray[np.bool_]
    instance: NDArray[np.uint8]
    semseg: NDArray[np.uint8]
    part: NDArray[np.uint8]
    salient: int
    person: int
    looks: Looks
    main: Lamp
    fill: Lamp
    ambient: Floats
    exposure: float


def room(generator: np.random.Generator) -> Scene:
    """A random scene; the same generator state gives the same scene."""
    dice = Dice(generator)
    layout, into = Layout(dice), Assembly()
    person = salient = NOBODY
    kind = dice.pick(_SALIENT)
    spot = layout.in_view(2.1, 3.4, _REACH[kind])
    if spot is not None:
        name = "object" if kind not in ("chair", "armchair") else "chair"
        into.stand(name, *spot, layout.heading + pi + dice.between(-1.0, 1.0))
        treasure(into, dice, kind)
        salient = into.instance
    if dice.chance(_PERSON_SHARE):
        spot = layout.in_view(2.0, 3.9, 0.33)
        if spot is not None:
            into.stand("person", *spot, dice.between(-pi, pi))
            mannequin(into, dice)
            person = into.instance
    furnish(layout, into, dice)
    daylight = hang(layout, into, dice)
    main, fill, ambient = _lights(layout, into, dice, daylight)
    return Scene(
        camera=_camera(layout, dice),
        room=np.array([layout.width, layout.height, layout.depth], dtype=np.float32),
        solids=Solids(
            kind=np.array(into.kinds, dtype=np.uint8),
            centre=np.array(into.centres, dtype=np.float32),
            axes=np.array(into.axes, dtype=np.float32),
            size=np.array(into.sizes, dtype=np.float32),
        ),
        casts=np.array(into.casts, dtype=np.bool_),
        instance=np.array(
            [*into.instances, *range(into.instance + 1, into.instance + 7)], np.uint8
        ),
        semseg=np.array([*into.classes, *map(CLASSES.index, _ROOM_CLASSES)], dtype=np.uint8),
        part=np.array(into.parts + [0] * 6, dtype=np.uint8),
        salient=salient,
        person=person,
        looks=_looks(into, _room_looks(dice), dice),
        main=main,
        fill=fill,
        ambient=ambient,
        exposure=dice.between(0.85, 1.2),
    )


def _camera(layout: Layout, dice: Dice) -> Camera:
    pitch = radians(dice.between(-18, -6))
    s, c, level, rise = sin(layout.heading), cos(layout.heading), cos(pitch), sin(pitch)
    return Camera(
        position=np.array([layout.eye[0], dice.between(1.3, 1.75), layout.eye[1]], np.float32),
        basis=np.array(
            [[-c, 0, s], [-s * rise, level, -c * rise], [s * level, rise, c * level]], np.float32
        ),
        half_width=tan(layout.half_view),
    )


def _room_looks(dice: Dice) -> tuple[Look, ...]:
    """Looks of the six sides: one wallpaper, sometimes an accent wall, a floor and a ceiling."""
    tone = dice.pick(WALL_TONES)
    paper = dice.pick(("plaster", "plaster", "plaster", "stripes", "diamonds", "dots", "bricks"))
    wall = Look(tinted(tone, 0.9), tone, paper, dice.between(0.8, 1.6))
    accent = wall
    if dice.chance(0.3):
        other = tinted(dice.pick(WALL_TONES), 0.85)
        accent = Look(tinted(other, 0.92), other, "plaster", 1.5)
    surface = dice.pick(("planks", "planks", "parquet", "tiles", "checker", "fabric"))
    if surface in ("planks", "parquet"):
        floor = dice.pick(WOODS)
        ground = Look(*floor, surface, dice.between(1.4, 2.0), gloss=0.05)
    elif surface == "fabric":
        carpet = tinted(dice.pick(WALL_TONES), 0.7)
        ground = Look(tinted(carpet, 0.85), carpet, surface, 0.8)
    else:
        ground = Look(*dice.pick(_TILES), surface, dice.between(0.9, 1.6), gloss=0.12)
    top = Look((0.92, 0.92, 0.90), (0.97, 0.97, 0.96), "plaster", 2.0)
    walls = [wall] * 4
    walls[dice.pick((0, 1, 2, 3))] = accent
    return (walls[0], walls[1], ground, top, walls[2], walls[3])


def _looks(into: Assembly, sides: tuple[Look, ...], dice: Dice) -> Looks:
    looks = [*into.looks, *sides]
    mapping = []
    for index, look in enumerate(looks):
        if look.scale:
            mapping.append((1 / look.scale, 1 / look.scale, dice.between(0, 1), 0.0))
            continue
        x, y, z = into.sizes[index]
        if into.kinds[index] != BOX:
            mapping.append((1.0, 0.5 / max(y, x), 0.0, 0.5))
        elif y < 0.05:
            mapping.append((0.5 / x, 0.5 / z, 0.5, 0.5))
        else:
            mapping.append((0.5 / x, 0.5 / y, 0.5, 0.5))
    colours = linear(np.array([(look.dark, look.light) for look in looks], dtype=np.float32))
    return Looks(
        dark=colours[:, 0],
        light=colours[:, 1],
        texture=np.array([TEXTURES.index(look.texture) for look in looks]),
        mapping=np.array(mapping, dtype=np.float32),
        glow=np.array([look.glow for look in looks], dtype=np.float32),
        gloss=np.array([look.gloss for look in looks], dtype=np.float32),
    )


def _lights(
    layout: Layout, into: Assembly, dice: Dice, daylight: Point
) -> tuple[Lamp, Lamp, Floats]:
    x = layout.width * dice.between(0.35, 0.65)
    z = layout.depth * dice.between(0.35, 0.65)
    into.stand("object", x, z, 0.0, y=layout.height)
    bulb = Look((1.0, 0.95, 0.85), (1.0, 0.95, 0.85), glow=0.9)
    into.post((0, -0.05, 0), 0.22, 0.05, bulb, casts=False)
    warm = np.array([1.0, dice.between(0.82, 0.95), dice.between(0.62, 0.85)], dtype=np.float32)
    cool = np.array([dice.between(0.85, 0.98), 0.96, 1.0], dtype=np.float32)
    ceiling = np.array([x, layout.height - 0.25, z], dtype=np.float32)
    window = np.array(daylight, dtype=np.float32)
    if dice.chance(0.5):
        strength = dice.between(1.6, 2.4)
        main, fill = Lamp(ceiling, warm * strength, 2.2), Lamp(window, cool * 0.5, 2.5)
    else:
        strength = dice.between(1.8, 2.6)
        main, fill = Lamp(window, cool * strength, 2.6), Lamp(ceiling, warm * 0.4, 2.5)
    ambient = (warm + cool) * np.float32(dice.between(0.16, 0.24))
    return main, fill, ambient
