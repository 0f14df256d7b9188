"""Random furnished rooms, ready to be ray-cast and shaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, radians, sin, tan

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.appearance import Lamp, Materials, linear_rgb
from mtl_tf.data.rendered_rooms.furniture import WOODS, salient_object
from mtl_tf.data.rendered_rooms.layout import WALL_TONES, Layout, place_furniture, place_on_walls
from mtl_tf.data.rendered_rooms.mannequin import mannequin
from mtl_tf.data.rendered_rooms.ray_casting import BOX, Camera, Floats, Solids
from mtl_tf.data.rendered_rooms.solids import (
    CLASSES,
    BufferedGenerator,
    Colour,
    Material,
    Point,
    SceneBuilder,
    scaled,
)
from mtl_tf.data.rendered_rooms.textures import TEXTURES

_TILES: tuple[tuple[Colour, Colour], ...] = (
    ((0.55, 0.53, 0.50), (0.84, 0.82, 0.78)),
    ((0.40, 0.40, 0.41), (0.62, 0.63, 0.64)),
    ((0.50, 0.38, 0.32), (0.72, 0.52, 0.43)),
)
_SALIENT = ("ball", "ball", "vase", "vase", "pouf", "cube", "chair", "armchair", "armchair")
_RADIUS = {"ball": 0.4, "vase": 0.28, "pouf": 0.38, "cube": 0.38, "chair": 0.36, "armchair": 0.5}
_PERSON_PROBABILITY = 0.68

NO_INSTANCE = 255
_ROOM_CLASSES = ("wall", "wall", "floor", "ceiling", "wall", "wall")


@dataclass(frozen=True)
class Scene:
    """Geometry, labels, materials and lighting of a room.

    Tables have one row per surface: first the solids, then the six sides of the room in the order
    low x, high x, floor, ceiling, low z, high z.

    Attributes:
        camera: the camera.
        room: extents of the room, `[3]`, metres.
        solids: the solids.
        casts: whether each solid casts shadows.
        instance: instance id of each surface.
        semseg: class id of each surface.
        part: body part of each surface, 0 for none.
        salient: instance id of the salient object, or `NO_INSTANCE`.
        person: instance id of the person, or `NO_INSTANCE`.
        materials: material of each surface.
        main: light with shadows.
        fill: light without shadows.
        ambient: linear RGB of the ambient light, `[3]`.
        exposure: factor of the image brightness.
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
    materials: Materials
    main: Lamp
    fill: Lamp
    ambient: Floats
    exposure: float


def random_scene(generator: np.random.Generator) -> Scene:
    """Return a random scene that only depends on the state of the generator."""
    rng = BufferedGenerator(generator)
    layout, builder = Layout(rng), SceneBuilder()
    person = salient = NO_INSTANCE
    kind = rng.choice(_SALIENT)
    spot = layout.place_in_view(2.1, 3.4, _RADIUS[kind])
    if spot is not None:
        name = "object" if kind not in ("chair", "armchair") else "chair"
        builder.start_object(name, *spot, layout.heading + pi + rng.uniform(-1.0, 1.0))
        salient_object(builder, rng, kind)
        salient = builder.instance
    if rng.bernoulli(_PERSON_PROBABILITY):
        spot = layout.place_in_view(2.0, 3.9, 0.33)
        if spot is not None:
            builder.start_object("person", *spot, rng.uniform(-pi, pi))
            mannequin(builder, rng)
            person = builder.instance
    place_furniture(layout, builder, rng)
    daylight = place_on_walls(layout, builder, rng)
    main, fill, ambient = _lights(layout, builder, rng, daylight)
    return Scene(
        camera=_camera(layout, rng),
        room=np.array([layout.width, layout.height, layout.depth], dtype=np.float32),
        solids=Solids(
            kind=np.array(builder.kinds, dtype=np.uint8),
            centre=np.array(builder.centres, dtype=np.float32),
            axes=np.array(builder.axes, dtype=np.float32),
            size=np.array(builder.sizes, dtype=np.float32),
        ),
        casts=np.array(builder.casts, dtype=np.bool_),
        instance=np.array(
            [*builder.instances, *range(builder.instance + 1, builder.instance + 7)], np.uint8
        ),
        semseg=np.array([*builder.classes, *map(CLASSES.index, _ROOM_CLASSES)], dtype=np.uint8),
        part=np.array(builder.parts + [0] * 6, dtype=np.uint8),
        salient=salient,
        person=person,
        materials=_material_table(builder, _room_materials(rng), rng),
        main=main,
        fill=fill,
        ambient=ambient,
        exposure=rng.uniform(0.85, 1.2),
    )


def _camera(layout: Layout, rng: BufferedGenerator) -> Camera:
    pitch = radians(rng.uniform(-18, -6))
    s, c, level, rise = sin(layout.heading), cos(layout.heading), cos(pitch), sin(pitch)
    return Camera(
        position=np.array([layout.eye[0], rng.uniform(1.3, 1.75), layout.eye[1]], np.float32),
        basis=np.array(
            [[-c, 0, s], [-s * rise, level, -c * rise], [s * level, rise, c * level]], np.float32
        ),
        half_width=tan(layout.half_view),
    )


def _room_materials(rng: BufferedGenerator) -> tuple[Material, ...]:
    """Return materials of the sides: wallpaper, sometimes an accent wall, floor and ceiling."""
    tone = rng.choice(WALL_TONES)
    paper = rng.choice(("plaster", "plaster", "plaster", "stripes", "diamonds", "dots", "bricks"))
    wall = Material(scaled(tone, 0.9), tone, paper, rng.uniform(0.8, 1.6))
    accent = wall
    if rng.bernoulli(0.3):
        other = scaled(rng.choice(WALL_TONES), 0.85)
        accent = Material(scaled(other, 0.92), other, "plaster", 1.5)
    surface = rng.choice(("planks", "planks", "parquet", "tiles", "checker", "fabric"))
    if surface in ("planks", "parquet"):
        floor = rng.choice(WOODS)
        ground = Material(*floor, surface, rng.uniform(1.4, 2.0), gloss=0.05)
    elif surface == "fabric":
        carpet = scaled(rng.choice(WALL_TONES), 0.7)
        ground = Material(scaled(carpet, 0.85), carpet, surface, 0.8)
    else:
        ground = Material(*rng.choice(_TILES), surface, rng.uniform(0.9, 1.6), gloss=0.12)
    top = Material((0.92, 0.92, 0.90), (0.97, 0.97, 0.96), "plaster", 2.0)
    walls = [wall] * 4
    walls[rng.choice((0, 1, 2, 3))] = accent
    return (walls[0], walls[1], ground, top, walls[2], walls[3])


def _material_table(
    builder: SceneBuilder, sides: tuple[Material, ...], rng: BufferedGenerator
) -> Materials:
    materials = [*builder.materials, *sides]
    mapping = []
    for index, material in enumerate(materials):
        if material.scale:
            mapping.append((1 / material.scale, 1 / material.scale, rng.uniform(0, 1), 0.0))
            continue
        x, y, z = builder.sizes[index]
        if builder.kinds[index] != BOX:
            mapping.append((1.0, 0.5 / max(y, x), 0.0, 0.5))
        elif y < 0.05:
            mapping.append((0.5 / x, 0.5 / z, 0.5, 0.5))
        else:
            mapping.append((0.5 / x, 0.5 / y, 0.5, 0.5))
    colours = linear_rgb(
        np.array([(material.dark, material.light) for material in materials], dtype=np.float32)
    )
    return Materials(
        dark=colours[:, 0],
        light=colours[:, 1],
        texture=np.array([TEXTURES.index(material.texture) for material in materials]),
        mapping=np.array(mapping, dtype=np.float32),
        glow=np.array([material.glow for material in materials], dtype=np.float32),
        gloss=np.array([material.gloss for material in materials], dtype=np.float32),
    )


def _lights(
    layout: Layout, builder: SceneBuilder, rng: BufferedGenerator, daylight: Point
) -> tuple[Lamp, Lamp, Floats]:
    x = layout.width * rng.uniform(0.35, 0.65)
    z = layout.depth * rng.uniform(0.35, 0.65)
    builder.start_object("object", x, z, 0.0, y=layout.height)
    bulb = Material((1.0, 0.95, 0.85), (1.0, 0.95, 0.85), glow=0.9)
    builder.cylinder((0, -0.05, 0), 0.22, 0.05, bulb, casts=False)
    warm = np.array([1.0, rng.uniform(0.82, 0.95), rng.uniform(0.62, 0.85)], dtype=np.float32)
    cool = np.array([rng.uniform(0.85, 0.98), 0.96, 1.0], dtype=np.float32)
    ceiling = np.array([x, layout.height - 0.25, z], dtype=np.float32)
    window = np.array(daylight, dtype=np.float32)
    if rng.bernoulli(0.5):
        strength = rng.uniform(1.6, 2.4)
        main, fill = Lamp(ceiling, warm * strength, 2.2), Lamp(window, cool * 0.5, 2.5)
    else:
        strength = rng.uniform(1.8, 2.6)
        main, fill = Lamp(window, cool * strength, 2.6), Lamp(ceiling, warm * 0.4, 2.5)
    ambient = (warm + cool) * np.float32(rng.uniform(0.16, 0.24))
    return main, fill, ambient
