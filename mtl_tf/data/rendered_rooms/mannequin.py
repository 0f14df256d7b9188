"""Articulated mannequin in everyday clothes, standing or walking."""

from __future__ import annotations

from math import cos, sin

from mtl_tf.data.rendered_rooms.solids import (
    BufferedGenerator,
    Colour,
    Material,
    Point,
    SceneBuilder,
    scaled,
)

PARTS: tuple[str, ...] = (
    "background",
    "head",
    "torso",
    "upper arm",
    "lower arm",
    "upper leg",
    "lower leg",
)
HEAD, TORSO, UPPER_ARM, LOWER_ARM, UPPER_LEG, LOWER_LEG = range(1, 7)

_SKINS: tuple[Colour, ...] = (
    (0.93, 0.76, 0.65),
    (0.85, 0.65, 0.51),
    (0.68, 0.47, 0.34),
    (0.48, 0.32, 0.23),
)
_CLOTHES: tuple[Colour, ...] = (
    (0.30, 0.36, 0.46),
    (0.58, 0.60, 0.62),
    (0.44, 0.38, 0.33),
    (0.36, 0.42, 0.36),
    (0.78, 0.76, 0.72),
    (0.24, 0.24, 0.27),
    (0.52, 0.40, 0.42),
    (0.62, 0.56, 0.45),
)
_HAIR: tuple[Colour, ...] = ((0.12, 0.09, 0.08), (0.32, 0.21, 0.13), (0.55, 0.42, 0.25))
_FOOT = 0.05


def _joint(start: Point, length: float, forward: float, aside: float) -> Point:
    """Return the end of a limb that points down, rotated forward and aside by angles in radians."""
    right = sin(aside) * length
    down = cos(forward) * cos(aside) * length
    ahead = sin(forward) * cos(aside) * length
    return (start[0] + right, start[1] - down, start[2] + ahead)


def mannequin(builder: SceneBuilder, rng: BufferedGenerator) -> None:
    """Add a person, standing or walking, with labelled body parts."""
    scale = rng.uniform(0.92, 1.08)
    skin = Material(scaled(tone := rng.choice(_SKINS), 0.95), tone, gloss=0.05)
    shirt_tone, trouser_tone = rng.choice(_CLOTHES), rng.choice(_CLOTHES)
    texture = rng.choice(("fabric", "fabric", "stripes", "plain"))
    shirt = Material(scaled(shirt_tone, 0.8), shirt_tone, texture, 0.4)
    trousers = Material(scaled(trouser_tone, 0.62), scaled(trouser_tone, 0.75), "fabric", 0.4)
    shoes = Material((0.1, 0.1, 0.1), (0.16, 0.14, 0.13), gloss=0.1)
    hair = Material((0.1, 0.1, 0.1), rng.choice(_HAIR), gloss=0.1)
    walking = rng.bernoulli(0.5)
    stride = rng.uniform(0.25, 0.55) * rng.choice((-1.0, 1.0)) if walking else 0.0

    legs = []
    for side in (-1, 1):
        hip = (side * 0.09 * scale, 0.0, 0.0)
        forward = stride * side + rng.uniform(-0.06, 0.06)
        bend = rng.uniform(0.05, 0.25) + (0.5 * max(-stride * side, 0) if walking else 0.0)
        knee = _joint(hip, 0.43 * scale, forward, side * rng.uniform(0.02, 0.12))
        ankle = _joint(knee, 0.42 * scale, forward - bend, side * 0.03)
        legs.append((hip, knee, ankle))
    pelvis = _FOOT - min(ankle[1] for _, _, ankle in legs)

    def raised(point: Point) -> Point:
        return (point[0], point[1] + pelvis, point[2])

    for hip, knee, ankle in legs:
        builder.capsule(raised(hip), raised(knee), 0.085 * scale, trousers, UPPER_LEG)
        builder.capsule(raised(knee), raised(ankle), 0.062 * scale, trousers, LOWER_LEG)
        toe = (ankle[0], ankle[1], ankle[2] + 0.14)
        builder.capsule(raised(ankle), raised(toe), _FOOT, shoes, LOWER_LEG, False)

    hips = (0.165 * scale, 0.13 * scale, 0.115 * scale)
    builder.ellipsoid((0, pelvis + 0.02, 0), hips, trousers, TORSO)
    chest = (0.175 * scale, 0.31 * scale, 0.115 * scale)
    builder.ellipsoid((0, pelvis + 0.27 * scale, 0), chest, shirt, TORSO)
    shoulder_height = pelvis + 0.47 * scale
    left, right = (-0.14 * scale, shoulder_height, 0), (0.14 * scale, shoulder_height, 0)
    builder.capsule(left, right, 0.068 * scale, shirt, TORSO)
    neck, chin = (0, shoulder_height, 0), (0, shoulder_height + 0.12 * scale, 0.01)
    builder.capsule(neck, chin, 0.05 * scale, skin, HEAD, False)
    crown = shoulder_height + 0.22 * scale
    face = (0.085 * scale, 0.115 * scale, 0.1 * scale)
    builder.ellipsoid((0, crown, 0.02), face, skin, HEAD, False)
    scalp = (0.092 * scale, 0.105 * scale, 0.1 * scale)
    builder.ellipsoid((0, crown + 0.03 * scale, -0.012), scalp, hair, HEAD)

    for side in (-1, 1):
        shoulder = (side * 0.19 * scale, shoulder_height, 0.0)
        forward = -stride * side * 0.8 + rng.uniform(-0.2, 0.3)
        raise_arm = rng.bernoulli(0.25)
        aside = side * (rng.uniform(0.6, 2.2) if raise_arm else rng.uniform(0.1, 0.4))
        bend = rng.uniform(0.1, 1.2)
        elbow = _joint(shoulder, 0.29 * scale, forward, aside)
        wrist = _joint(elbow, 0.25 * scale, forward + bend, aside * rng.uniform(0.5, 1.2))
        builder.capsule(shoulder, elbow, 0.055 * scale, shirt, UPPER_ARM)
        builder.capsule(elbow, wrist, 0.042 * scale, skin, LOWER_ARM)
        builder.ellipsoid(wrist, (0.05 * scale,) * 3, skin, LOWER_ARM, False)
