"""Materials and lamps of a scene in linear RGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.ray_casting import Floats

GAMMA = 2.2


@dataclass(frozen=True)
class Lamp:
    """Light source.

    Attributes:
        position: in the world frame, `[3]`, metres.
        colour: linear RGB, `[3]`.
        half_distance: distance in metres at which the light loses half its strength.
    """

    position: Floats
    colour: Floats
    half_distance: float


@dataclass(frozen=True)
class Materials:
    """Materials with one row per surface.

    Attributes:
        dark: linear RGB where the texture is 0, `[N, 3]`.
        light: linear RGB where the texture is 1, `[N, 3]`.
        texture: index in `TEXTURES`, `[N]`.
        mapping: scale u, scale v, offset u and offset v, in texture tiles, `[N, 4]`.
        glow: emitted light, `[N]`.
        gloss: strength of specular reflection, `[N]`.
    """

    dark: Floats
    light: Floats
    texture: NDArray[np.intp]
    mapping: Floats
    glow: Floats
    gloss: Floats


def linear_rgb(colour: Floats) -> Floats:
    """Convert sRGB in [0, 1] to linear RGB (a power of 2.2)."""
    return np.power(np.asarray(colour, dtype=np.float32), np.float32(GAMMA))
