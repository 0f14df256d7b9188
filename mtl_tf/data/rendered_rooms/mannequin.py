"""A jointed mannequin in everyday clothes, standing or walking."""

from __future__ import annotations

from math import cos, sin

from mtl_tf.data.rendered_rooms.solids import Assembly, Colour, Dice, Look, Point, tinted

PARTS: tuple[str, ...] = (
    "background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg",
)  # fmt: skip
HEAD, TORSO, UPPER_ARM, LOWER_ARM, UPPER_LEG, LOWER_LEG = range(1, 7)

_SKINS: tuple[Colour, ...] = (
    (0.93, 0.76, 0.65), (0.85, 0.65, 0.51), (0.68, 0.47, 0.34), (0.48, 0.32, 0.23),
)  # fmt: skip
_CLOTHES: tuple[Colour, ...] = (
    (0.30, 0.36, 0.46), (0.58, 0.60, 0.62), (0.44, 0.38, 0.33), (0.36, 0.42, 0.36),
    (0.78, 0.76, 0.72), (0.24, 0.24, 0.27), (0.52, 0.40, 0.42), (0.62, 0.56, 0.45),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = ((0.12, 0.09, 0.08), (0.32, 0.21, 0.13), (0.55, 0.42, 0.25))
_FOOT = 0.05


def _swing(start: Point, length: float, forward: float, aside: float) -> Point:
    """The end of a limb that hangs down, turned forward and aside by angles in radians."""
    down = cos(forward) * cos(aside) * length
    return (start[0] + sin(aside) * length, start[1] - down,
            start[2] + sin(forward) * cos(aside) * length)  # fmt: skip


def mannequin(into: Assembly, dice: Dice) -> None:
    """Add a person, standing or walking, with the classes of its parts."""
    scale = dice.between(0.92, 1.08)
    skin = Look(tinted(tone := dice.pick(_SKINS), 0.95), tone, gloss=0.05)
    shirt_tone, trouser_tone = dice.pick(_CLOTHES), dice.pick(_CLOTHES)
    texture = dice.pick(("fabric", "fabric", "stripes", "plain"))
    shirt = Look(tinted(shirt_tone, 0.8), shirt_tone, texture, 0.4)
    trousers = Look(tinted(trouser_tone, 0.62), tinted(trouser_tone, 0.75), "fabric", 0.4)
    shoes = Look((0.1, 0.1, 0.1), (0.16, 0.14, 0.13), gloss=0.1)
    hair = Look((0.1, 0.1, 0.1), dice.pick(_HAIR), gloss=0.1)
    walking = dice.chance(0.5)
    stride = dice.between(0.25, 0.55) * dice.pick((-1.0, 1.0)) if walking else 0.0

    legs = []
    for side in (-1, 1):
        hip = (side * 0.09 * scale, 0.0, 0.0)
        forward = stride * side + dice.between(-0.06, 0.06)
        bend = dice.between(0.05, 0.25) + (0.5 * max(-stride * side, 0) if walking else 0.0)
        knee = _swing(hip, 0.43 * scale, forward, side * dice.between(0.02, 0.12))
        ankle = _swing(knee, 0.42 * scale, forward - bend, side * 0.03)
        legs.append((hip, knee, ankle))
    pelvis = _FOOT - min(ankle[1] for _, _, ankle in legs)

    def raised(point: Point) -> Point:
        return (point[0], point[1] + pelvis, point[2])

    for hip, knee, ankle in legs:
        into.limb(raised(hip), raised(knee), 0.085 * scale, trousers, UPPER_LEG)
        into.limb(raised(knee), raised(ankle), 0.062 * scale, trousers, LOWER_LEG)
        toe = (ankle[0], ankle[1], ankle[2] + 0.14)
        into.limb(raised(ankle), raised(toe), _FOOT, shoes, LOWER_LEG, False)

    into.ball((0, pelvis + 0.02, 0), (0.165 * scale, 0.13 * scale, 0.115 * scale), trousers, TORSO)
    into.ball((0, pelvis + 0.27 * scale, 0), (0.175 * scale, 0.31 * scale, 0.115 * scale), shirt,
              TORSO)  # fmt: skip
    shoulder_height = pelvis + 0.47 * scale
    into.limb((-0.14 * scale, shoulder_height, 0), (0.14 * scale, shoulder_height, 0),
              0.068 * scale, shirt, TORSO)  # fmt: skip
    into.limb((0, shoulder_height, 0), (0, shoulder_height + 0.12 * scale, 0.01), 0.05 * scale,
              skin, HEAD, False)  # fmt: skip
    crown = shoulder_height + 0.22 * scale
    into.ball((0, crown, 0.02), (0.085 * scale, 0.115 * scale, 0.1 * scale), skin, HEAD, False)
    into.ball((0, crown + 0.03 * scale, -0.012), (0.092 * scale, 0.105 * scale, 0.1 * scale), hair,
              HEAD)  # fmt: skip

    for side in (-1, 1):
        shoulder = (side * 0.19 * scale, shoulder_height, 0.0)
        forward = -stride * side * 0.8 + dice.between(-0.2, 0.3)
        raise_arm = dice.chance(0.25)
        aside = side * (dice.between(0.6, 2.2) if raise_arm else dice.between(0.1, 0.4))
        bend = dice.between(0.1, 1.2)
        elbow = _swing(shoulder, 0.29 * scale, forward, aside)
        wrist = _swing(elbow, 0.25 * scale, forward + bend, aside * dice.between(0.5, 1.2))
        into.limb(shoulder, elbow, 0.055 * scale, shirt, UPPER_ARM)
        into.limb(elbow, wrist, 0.042 * scale, skin, LOWER_ARM)
        into.ball(wrist, (0.05 * scale,) * 3, skin, LOWER_ARM, False)
