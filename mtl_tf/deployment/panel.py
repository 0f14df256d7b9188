"""A picture of several maps, with their names, a legend of classes and a scale of depths."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLUMNS = (3, 4, 2)  # in this order where they leave as few tiles empty
_WHITE, _BLACK = (255, 255, 255), (20, 20, 20)
_MIN_TEXT, _MAX_TEXT = 9, 28  # pixels


class Tile(NamedTuple):
    """A map in a panel.

    Attributes:
        name: written above it.
        picture: RGB `[H, W, 3]` uint8.
        scale: distances in metres of the first and the last colour, if it has a scale.
    """

    name: str
    picture: np.ndarray
    scale: tuple[float, float] | None = None


def draw_panel(
    tiles: Sequence[Tile], legend: Mapping[str, tuple[int, ...]], colour_map: str
) -> np.ndarray:
    """Draw tiles of one size in rows.

    Args:
        tiles: at least one.
        legend: `{class: colour}`, drawn below.
        colour_map: of Matplotlib, of the scales.

    Returns:
        RGB `[height, width, 3]` uint8.
    """
    height, width = tiles[0].picture.shape[:2]
    count = len(tiles)
    columns = min(count, min(_COLUMNS, key=lambda n: -count % n)) if count > 1 else 1
    size = int(min(max(_MIN_TEXT, width / 22), _MAX_TEXT))
    font = ImageFont.load_default(size)
    strip = 2 * size
    rows = -(-count // columns)
    lines = _lines(legend, font, columns * width, size)
    panel_size = (columns * width, rows * (height + strip) + len(lines) * strip)
    panel = Image.new("RGB", panel_size, _WHITE)
    draw = ImageDraw.Draw(panel)
    for i, tile in enumerate(tiles):
        left, top = i % columns * width, i // columns * (height + strip)
        draw.text((left + size // 2, top + size // 3), tile.name, _BLACK, font)
        if tile.scale is not None:
            box = (left + width // 3, top, left + width, top + strip)
            _draw_scale(panel, draw, box, tile.scale, font, size, colour_map)
        panel.paste(Image.fromarray(tile.picture), (left, top + strip))
    for i, line in enumerate(lines):
        top = rows * (height + strip) + i * strip
        for left, name, colour in line:
            draw.rectangle((left, top + size // 2, left + size, top + size + size // 2), colour)
            draw.text((left + size + size // 2, top + size // 3), name, _BLACK, font)
    return np.asarray(panel)


def _draw_scale(
    panel: Image.Image,
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    scale: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: int,
    colour_map: str,
) -> None:
    """Draw the colours of a range of distances between its ends."""
    left, top, right, _ = box
    near, far = (f"{value:.1f} m" for value in scale)
    before, after = (int(font.getlength(text)) + size // 2 for text in (near, far))
    bar = right - left - before - after - size
    if bar < size:
        return
    draw.text((left, top + size // 3), near, _BLACK, font)
    draw.text((right - after, top + size // 3), far, _BLACK, font)
    colours = matplotlib.colormaps[colour_map](np.linspace(0, 1, bar))[None, :, :3] * 255
    stripe = np.repeat(np.rint(colours).astype(np.uint8), size, axis=0)
    panel.paste(Image.fromarray(stripe), (left + before, top + size // 2))


def _lines(
    legend: Mapping[str, tuple[int, ...]],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
    size: int,
) -> list[list[tuple[int, str, tuple[int, ...]]]]:
    """Return the entries of a legend in lines: position, name and colour."""
    lines: list[list[tuple[int, str, tuple[int, ...]]]] = []
    left = width
    for name, colour in legend.items():
        length = int(font.getlength(name)) + 3 * size
        if left + length > width or not lines:
            lines.append([])
            left = size // 2
        lines[-1].append((left, name, colour))
        left += length
    return lines
