"""Images of any size for a network of a fixed size: padded to its aspect, or cut into tiles."""

from typing import NamedTuple

import cv2
import numpy as np

from mtl_tf.data.transforms import IMAGENET_MEAN

_CHANNELS = 4  # that OpenCV resizes together
_PADDING = np.rint(255 * IMAGENET_MEAN).astype(np.uint8)  # 0 for the network


class Box(NamedTuple):
    """The part of a picture that an image takes.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    def of(self, picture: np.ndarray) -> np.ndarray:
        """Return the part of a picture `[H, W, C]`."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


def letterboxed(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, Box]:
    """Return an image scaled into a size, with borders of the mean colour.

    Args:
        image: RGB `[h, w, 3]` uint8.
        height: of the result.
        width: of the result.

    Returns:
        RGB `[height, width, 3]` uint8, and the part of it that the image takes.
    """
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = [
        min(max(1, round(scale * n)), m) for n, m in zip(image.shape, (height, width), strict=False)
    ]
    box = Box((height - inner[0]) // 2, (width - inner[1]) // 2, *inner)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[...] = _PADDING
    box.of(canvas)[...] = resized(image, *inner)
    return canvas, box


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image at a size: averaged where it gets smaller, interpolated where larger.

    Args:
        image: `[h, w, C]`.
        height: of the result.
        width: of the result.
    """
    if image.shape[:2] == (height, width):
        return image
    is_smaller = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    parts = [image[..., i : i + _CHANNELS] for i in range(0, image.shape[2], _CHANNELS)]
    return np.concatenate(
        [
            cv2.resize(part, (width, height), interpolation=method).reshape(height, width, -1)
            for part in parts
        ],
        axis=-1,
    )


def tile_corners(
    height: int, width: int, tile: tuple[int, int], overlap: float
) -> list[tuple[int, int]]:
    """Return the top left corners of tiles that cover an image, evenly spaced.

    Args:
        height: of the image, at least that of a tile.
        width: of the image, at least that of a tile.
        tile: height and width of a tile.
        overlap: smallest part of a tile that its neighbour covers too, from 0 to below 1.

    Examples:
        >>> tile_corners(100, 250, (100, 100), 0.25)
        [(0, 0), (0, 75), (0, 150)]
    """
    rows, columns = (
        _starts(size, length, overlap) for size, length in zip((height, width), tile, strict=True)
    )
    return [(row, column) for row in rows for column in columns]


def _starts(size: int, length: int, overlap: float) -> list[int]:
    step = max(1, int(length * (1 - overlap)))
    count = 1 + -(-(size - length) // step)
    return [round(i * (size - length) / max(count - 1, 1)) for i in range(count)]


def blending_weight(height: int, width: int) -> np.ndarray:
    """Return the weight of each pixel of a tile: 1 in the middle, small at the border.

    Args:
        height: of the tile.
        width: of the tile.

    Returns:
        `[height, width, 1]` float32, positive.
    """
    rows, columns = (
        1 - np.abs(2 * (np.arange(n, dtype=np.float32) + 0.5) / n - 1) for n in (height, width)
    )
    return (rows[:, None] * columns)[..., None]
