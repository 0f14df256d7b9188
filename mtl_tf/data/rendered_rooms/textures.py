"""Procedural textures in an atlas of tiles with mipmaps."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.ray_casting import Floats

TEXTURES: tuple[str, ...] = (
    "plain", "planks", "parquet", "tiles", "checker", "stripes", "fabric", "diamonds", "dots",
    "plaster", "bricks", "books", "doors", "drawers", "rug", "window", "swirl",
    "painting 0", "painting 1", "painting 2", "painting 3", "painting 4", "painting 5",
)  # fmt: skip
_TILE = 256
_LEVELS = 7


def _boards(generator: np.random.Generator, rows: int, joints: int) -> Floats:
    v, u = np.mgrid[0 : 1 : _TILE * 1j, 0 : 1 : _TILE * 1j]
    row = np.minimum((v * rows).astype(int), rows - 1)
    shifted = u + generator.random(rows)[row]
    board = (shifted * joints).astype(int) % joints
    tone = generator.uniform(0.3, 1.0, (rows, joints))[row, board]
    grain = _noise(generator, 40, 3)
    gap = (np.abs(v * rows % 1 - 0.5) > 0.47) | (np.abs(shifted * joints % 1 - 0.5) > 0.494)
    return np.where(gap, 0.0, tone * 0.75 + 0.25 * grain).astype(np.float32)


def _noise(generator: np.random.Generator, rows: int, columns: int) -> Floats:
    coarse = np.pad(generator.random((rows, columns)), 2, mode="wrap").astype(np.float32)
    size = (_TILE * (columns + 4) // columns, _TILE * (rows + 4) // rows)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    top, left = 2 * _TILE // rows, 2 * _TILE // columns
    return np.clip(smooth[top : top + _TILE, left : left + _TILE], 0, 1).astype(np.float32)


def _painting(generator: np.random.Generator, style: int) -> Floats:
    paper = np.full((_TILE, _TILE, 3), generator.uniform(0.75, 0.95, 3), dtype=np.float32)
    tones = generator.uniform(0.1, 0.9, (9, 3)) ** 2
    for index, tone in enumerate(tones.tolist()):
        place = generator.integers(50, 206, 2)
        span = generator.integers(20, 70, 2)
        if style % 3 == 0:
            cv2.circle(paper, place.tolist(), int(span[0]), tone, -1)
        elif style % 3 == 1:
            horizon = 90 + 18 * index + (12 * np.sin(np.arange(_TILE) / span[0] + index))
            paper[np.arange(_TILE)[:, None] > horizon] = tone
        else:
            cv2.rectangle(paper, (place - span).tolist(), (place + span).tolist(), tone, -1)
    cv2.rectangle(paper, (0, 0), (_TILE - 1, _TILE - 1), (0.93, 0.92, 0.9), 50)
    cv2.rectangle(paper, (0, 0), (_TILE - 1, _TILE - 1), [0.08 + 0.06 * style] * 3, 22)
    return paper


def _window() -> Floats:
    v = np.linspace(0, 1, _TILE, dtype=np.float32)[:, None, None]
    sky = np.array([0.62, 0.8, 1.0]) * v + np.array([0.95, 0.97, 1.0]) * (1 - v)
    sky = np.broadcast_to(sky, (_TILE, _TILE, 3)).astype(np.float32)
    hills = 0.30 + 0.06 * np.sin(np.arange(_TILE) / 23) + 0.03 * np.sin(np.arange(_TILE) / 7)
    sky[(v[..., 0] < hills)] = (0.42, 0.55, 0.38)
    frame = np.zeros((_TILE, _TILE), dtype=bool)
    for bar in (0, 122, 240):
        frame[bar : bar + 14] = frame[:, bar : bar + 14] = True
    frame[:16] = frame[-16:] = frame[:, :16] = frame[:, -16:] = True
    sky[frame] = 0.8
    return sky


def _pattern(name: str, generator: np.random.Generator) -> Floats:
    v, u = np.mgrid[0 : 1 : _TILE * 1j, 0 : 1 : _TILE * 1j].astype(np.float32)
    if name in ("planks", "parquet", "bricks"):
        return _boards(generator, *{"planks": (8, 1), "parquet": (12, 4), "bricks": (16, 4)}[name])
    if name.startswith("painting"):
        return _painting(generator, int(name[-1]))
    if name == "window":
        return _window()
    if name == "books":
        shelf = np.array([0.2, 0.13, 0.08], dtype=np.float32)
        tones = generator.uniform(0.2, 0.7, (4, 18, 3)) ** 2
        row, column = (v * 3.999).astype(int), (u * 17.999).astype(int)
        heights = generator.uniform(0.55, 0.86, (4, 18))[row, column]
        book = (v * 4 % 1 > 0.07) & (v * 4 % 1 < heights) & (np.abs(u * 18 % 1 - 0.5) < 0.44)
        return np.where(book[..., None], tones[row, column], shelf * 0.7).astype(np.float32)

    def panel(columns: int, rows: int, margin: float) -> NDArray[np.bool_]:
        return (np.abs(u * columns % 1 - 0.5) < 0.5 - margin) & (
            np.abs(v * rows % 1 - 0.5) < 0.5 - margin * rows / columns
        )

    diamond = np.abs(u - 0.5) + np.abs(v - 0.5)
    patterns = {
        "plain": lambda: np.ones_like(u),
        "tiles": lambda: panel(4, 4, 0.03) * (0.85 + 0.15 * _noise(generator, 4, 4)),
        "checker": lambda: ((u * 2).astype(int) + (v * 2).astype(int)) % 2,
        "stripes": lambda: (u * 8 % 1) < 0.5,
        "fabric": lambda: 0.5 * _noise(generator, 64, 64) + 0.5 * _noise(generator, 8, 8),
        "diamonds": lambda: (np.abs(u * 4 % 1 - 0.5) + np.abs(v * 4 % 1 - 0.5)) < 0.3,
        "dots": lambda: np.hypot(u * 6 % 1 - 0.5, v * 6 % 1 - 0.5) < 0.24,
        "plaster": lambda: 0.7 * _noise(generator, 6, 6) + 0.3 * _noise(generator, 24, 24),
        "doors": lambda: panel(2, 1, 0.03) * (0.75 + 0.25 * panel(2, 1, 0.12))
        * ((np.abs(u - 0.5) > 0.055) | (np.abs(u - 0.5) < 0.035) | (np.abs(v - 0.55) > 0.07)),
        "drawers": lambda: panel(1, 3, 0.015) * (
            (np.abs(u - 0.5) > 0.09) | (np.abs(v * 3 % 1 - 0.55) > 0.07)),
        "rug": lambda: panel(1, 1, 0.06) ^ panel(1, 1, 0.1) ^ (diamond < 0.3) ^ (diamond < 0.15),
        "swirl": lambda: (u * 6 % 1) < 0.5,
    }  # fmt: skip
    return np.asarray(patterns[name](), dtype=np.float32)


@lru_cache(maxsize=1)
def _atlas() -> NDArray[np.uint8]:
    generator = np.random.default_rng(20)
    width = sum((_TILE >> level) + 2 for level in range(_LEVELS))
    atlas = np.zeros((len(TEXTURES) * (_TILE + 2), width, 3), dtype=np.uint8)
    for index, name in enumerate(TEXTURES):
        tile = _pattern(name, generator)
        tile = np.broadcast_to(tile.reshape(_TILE, _TILE, -1), (_TILE, _TILE, 3))
        left = 0
        for level in range(_LEVELS):
            side = _TILE >> level
            small = cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA)
            padded = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="wrap")
            top = index * (_TILE + 2)
            atlas[top : top + side + 2, left : left + side + 2] = np.clip(padded * 255, 0, 255)
            left += side + 2
    return atlas


def sample(coordinates: Floats, mapping: Floats, texture: Floats, footprint: Floats) -> Floats:
    """Sample textures with mipmaps.

    Args:
        coordinates: texture coordinates, `[2, H, W]`.
        mapping: scale and offset from coordinates to tiles (scale u, scale v, offset u, offset v),
            `[4, H, W]`.
        texture: index in `TEXTURES`, `[H, W]`.
        footprint: metres per pixel, `[H, W]`.

    Returns:
        Texture values in [0, 1], `[3, H, W]`.
    """
    tiles = coordinates * mapping[:2] + mapping[2:]
    tiles -= np.floor(tiles)
    texels = footprint * np.maximum(mapping[0], mapping[1]) * np.float32(_TILE)
    level = np.clip(np.rint(np.log2(np.maximum(texels, 1))), 0, _LEVELS - 1).astype(np.intp)
    sides = np.array([_TILE >> i for i in range(_LEVELS)], dtype=np.float32)
    lefts = np.concatenate([[0], np.cumsum(sides + 2)[:-1]]).astype(np.float32)
    tiles *= np.take(sides, level)
    tiles += np.float32(0.5)
    tiles[0] += np.take(lefts, level)
    tiles[1] += texture * np.float32(_TILE + 2)
    values = cv2.remap(_atlas(), tiles[0], tiles[1], cv2.INTER_LINEAR)
    return values.transpose(2, 0, 1) * np.float32(1 / 255)
