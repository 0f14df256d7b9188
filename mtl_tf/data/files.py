"""Reading the files of data sets; whatever is wrong becomes a `DataError` that names the file."""

import pathlib
from typing import Any

import numpy as np
from PIL import Image

from mtl_tf.data.sample import DataError


def find_file(folder: pathlib.Path, stem: str, suffixes: tuple[str, ...]) -> pathlib.Path:
    """`folder/stem` with the first of `suffixes` that exists; `DataError` if none does."""
    for suffix in suffixes:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    raise DataError(f"{folder / stem}{suffixes[0]} is missing: image {stem!r} needs it")


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not empty, stripped; `DataError` if there is none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path} is empty: it must hold one image id per line")
    return lines


def read_image(path: pathlib.Path) -> np.ndarray:
    """A colour image `[H, W, 3]` uint8 RGB."""
    return np.asarray(_decoded(path, "RGB"))


def read_map(path: pathlib.Path) -> np.ndarray:
    """A one-channel 8-bit image (grey or palette) as it is stored, `[H, W]` uint8."""
    image = _decoded(path, None)
    if image.mode not in ("L", "P"):
        raise DataError(f"{path} must be an 8-bit image of one channel. It has mode {image.mode!r}")
    return np.asarray(image)


def _decoded(path: pathlib.Path, mode: str | None) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image if mode is None or image.mode == mode else image.convert(mode)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except Exception as error:  # Pillow raises many kinds, one for images that are too large
        raise DataError(f"{path} is damaged or not an image: {error}") from error


def read_array(path: pathlib.Path) -> np.ndarray:
    """A NumPy array; pickled objects are refused."""
    try:
        with path.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except Exception as error:  # NumPy also raises TokenError, SyntaxError, MemoryError
        raise DataError(f"{path} is damaged or not a NumPy array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path} must hold numbers. It has dtype {array.dtype}")
    return array


def checked_classes(labels: np.ndarray, valid: np.ndarray, number: int, path: Any) -> None:
    """`DataError` if a valid label is not in 0..number-1."""
    wrong = valid & ((labels < 0) | (labels >= number))
    if wrong.any():
        raise DataError(
            f"{path} holds class {int(labels[wrong][0])}, but classes must be in 0..{number - 1}"
        )


def checked_depth(depth: np.ndarray, path: Any) -> np.ndarray:
    """Depth `[H, W]` float32 in metres; `DataError` if it has NaN, infinite or negative values."""
    with np.errstate(over="ignore"):
        depth = np.squeeze(depth).astype(np.float32)
    if depth.ndim != 2 or not np.isfinite(depth).all() or (depth < 0).any():
        raise DataError(
            f"{path} must hold one finite depth in metres per pixel, 0 where unknown. It has shape "
            f"{depth.shape} with {int((~np.isfinite(depth)).sum())} NaN or infinite and "
            f"{int((depth < 0).sum())} negative values"
        )
    return depth
