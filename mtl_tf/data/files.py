"""Reading the files of data sets; whatever is wrong becomes a `DataError` that names the file.

Files come from anywhere, so what one claims of itself is compared with its size before memory is
taken, and nothing is read that may never end (a pipe, a device). Links are followed: data sets are
often made of them.
"""

import contextlib
import io
import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.io
from PIL import Image, ImageOps

from mtl_tf.data.sample import DataError
from mtl_tf.targets import LARGEST_DEPTH_M

_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "WEBP", "AVIF", "GIF", "PPM", "TIFF")
_LARGEST_VARIABLE = 1 << 28  # numbers in a variable of a MATLAB file
_WHOLE_METRES = 100  # whole numbers above it are another unit
_LONGEST_NORMAL = 2.0


def shown(text: object, keep: str = "") -> str:
    """Text on one line, as a message shows it: what would move a cursor or hide is escaped.

    Args:
        text: any.
        keep: characters that stay although they cannot be printed.
    """
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in str(text))


def require_file(path: pathlib.Path) -> None:
    """`DataError` if there is no file, or a folder, pipe or device that could be read for ever."""
    if _is_file(path):
        return
    if os.path.exists(path):  # noqa: PTH110 (pathlib's raises for names that are too long)
        raise DataError(f"{shown(path)} is not a file, but a folder, pipe or device: remove it")
    raise DataError(f"{shown(path)} is missing" + " (a link to nothing)" * os.path.lexists(path))


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def first_that_exists(*paths: pathlib.Path) -> pathlib.Path:
    """The first of `paths` that is a file; the first of all if none is."""
    return next(filter(_is_file, paths), paths[0])


def require(paths: Iterable[pathlib.Path]) -> None:
    """`DataError` naming the first files that do not exist, and how many they are."""
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        more = f" and {len(missing) - 3} more files" if len(missing) > 3 else ""
        named = ", ".join(map(shown, missing[:3]))
        raise DataError(f"{named}{more}: missing, but the images they belong to are listed")


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not empty, stripped; `DataError` if there is none."""
    require_file(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path} is empty: it must hold one image id per line")
    return lines


def read_ids(path: pathlib.Path) -> list[str]:
    """The image ids a text file lists, one a line.

    Raises:
        DataError: if there is none, one is listed twice, or one leads out of the data's folder.
    """
    ids = read_lines(path)
    check_ids(ids, path)
    return ids


def check_ids(ids: list[str], path: pathlib.Path) -> None:
    """`DataError` naming `path` if an id is there twice or leads out of the data's folder."""
    seen: set[str] = set()
    for image_id in ids:
        if leads_out(image_id):
            raise DataError(
                f"{shown(path)} lists {image_id!r}: an id must not lead out of the folder"
            )
        if image_id in seen:
            raise DataError(f"{shown(path)} lists {image_id!r} more than once")
        seen.add(image_id)


def leads_out(name: object) -> bool:
    """Return whether a name is not a plain relative path: absolute, `..`, control characters."""
    if not isinstance(name, str) or name.startswith("/") or "\\" in name:
        return True
    parts = pathlib.PurePosixPath(name).parts
    return not parts or ".." in parts or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)


def every_nth_for_validation(ids: list[str], n: int) -> dict[str, list[str]]:
    """`{"train": ids, "val": ids}` where every n-th id, from the first on, is for validation."""
    if n < 2:
        raise ValueError(f"val_every must be at least 2. Received: {n}")
    return {"train": [i for k, i in enumerate(ids) if k % n], "val": ids[::n]}


def read_image(path: pathlib.Path) -> np.ndarray:
    """A colour image `[H, W, 3]` uint8 RGB, turned as its EXIF orientation says."""
    return np.asarray(_decoded(path, "RGB"))


def read_map(path: pathlib.Path) -> np.ndarray:
    """A one-channel 8-bit image (grey or palette) as it is stored, `[H, W]` uint8."""
    image = _decoded(path, None)
    if image.mode not in ("L", "P"):
        raise DataError(f"{path} must be an 8-bit image of one channel. It has mode {image.mode!r}")
    return np.asarray(image)


def read_map_16(path: pathlib.Path) -> np.ndarray:
    """A one-channel 16-bit image as it is stored, `[H, W]` uint16."""
    image = _decoded(path, None)
    if image.mode not in ("I;16", "I;16B", "I"):
        raise DataError(f"{path} must be a 16-bit image of one channel. It has mode {image.mode!r}")
    values = np.asarray(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > np.iinfo(np.uint16).max:
        raise DataError(f"{path} must hold 16-bit values. It holds {values.min()}..{values.max()}")
    return values.astype(np.uint16)


def decode_image(data: bytes, name: str) -> np.ndarray:
    """A colour image `[H, W, 3]` uint8 RGB of the bytes of an image file; `name` is for errors."""
    return np.asarray(_decoded(io.BytesIO(data), "RGB", name))


def _decoded(source: Any, mode: str | None, name: str = "") -> Image.Image:
    name = name or shown(source)
    if isinstance(source, pathlib.Path):
        require_file(source)
    Image.init()  # only these decoders: that of EPS starts another program
    try:
        with Image.open(source, formats=[f for f in _FORMATS if f in Image.OPEN]) as image:
            image.load()
            if mode is not None and image.mode.startswith(("I", "F")):  # would be cut off at 255
                raise ValueError(f"it must have 8-bit channels, and has mode {image.mode!r}")
            with contextlib.suppress(Exception):  # a damaged tag turns nothing
                ImageOps.exif_transpose(image, in_place=True)
            return image if mode is None or image.mode == mode else image.convert(mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name} is too large an image: {error} Scale it down") from error
    except Exception as error:  # Pillow raises many kinds
        raise DataError(f"{name} is damaged or not an image: {error}") from error


def read_array(path: pathlib.Path) -> np.ndarray:
    """A NumPy array; pickled objects are refused."""
    require_file(path)
    try:
        with path.open("rb") as stream:
            array = array_from(stream, path.stat().st_size)
    except Exception as error:  # NumPy also raises TokenError, SyntaxError, MemoryError
        raise DataError(f"{shown(path)} is damaged or not a NumPy array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{shown(path)} must hold numbers. It has dtype {array.dtype}")
    return array


def array_from(stream: Any, size: int) -> np.ndarray:
    """The array of a `.npy` stream of `size` bytes; `ValueError` if it claims to be another size.

    Pickled objects are refused.
    """
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the format: save plain numbers with numpy.save")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which could run code: save plain numbers")
    claimed, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or claimed > there:
        raise ValueError(f"its header claims {claimed} bytes of numbers, there are {there}")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def read_matlab(path: pathlib.Path, key: str) -> Any:
    """A variable of a MATLAB file (before 7.3): arrays, and structures as dictionaries."""
    require_file(path)
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
        if math.prod(shapes[key]) > _LARGEST_VARIABLE:
            raise ValueError(f"{key!r} claims to be {'x'.join(map(str, shapes[key]))}")
        return scipy.io.loadmat(path, simplify_cells=True, variable_names=[key])[key]
    except Exception as error:  # SciPy raises a dozen kinds
        raise DataError(f"{shown(path)} is damaged or lacks {key!r}: {error!r}") from error


def listed(found: Any) -> list[Any]:
    """Return a MATLAB cell, struct or struct array as a list."""
    return [found] if isinstance(found, dict) else list(np.ravel(np.asarray(found, object)))


def read_normals(path: pathlib.Path, shortest: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals `[H, W, 3]` and which are valid, from an array or a picture `(n + 1) / 2`.

    Vectors not longer than `shortest` are invalid.
    """
    if path.suffix == ".npy":
        normals = read_array(path).astype(np.float64)
    else:
        normals = read_image(path).astype(np.float32) / 255 * 2 - 1
    if normals.ndim != 3 or normals.shape[2] != 3 or not (np.abs(normals) < 1e6).all():
        raise DataError(f"{path} must hold finite normals [H, W, 3]. It has shape {normals.shape}")
    length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    if length.max(initial=0) > _LONGEST_NORMAL:
        raise DataError(
            f"{path} must hold unit vectors. The longest has length {length.max():.4g}: decode "
            "colours as 2 * rgb / 255 - 1"
        )
    return normals / np.maximum(length, 1e-6)[..., None], length > shortest


def checked_classes(labels: np.ndarray, valid: np.ndarray, number: int, path: Any) -> None:
    """`DataError` if a valid label is not in 0..number-1."""
    wrong = valid & ((labels < 0) | (labels >= number))
    if wrong.any():
        raise DataError(
            f"{path} holds class {int(labels[wrong][0])}, but classes must be in 0..{number - 1}"
        )


def checked_depth(depth: np.ndarray, path: Any) -> np.ndarray:
    """Depth `[H, W]` float32 in metres, 0 where unknown.

    Raises:
        DataError: if it has NaN, infinite or negative values, or must be of another unit: beyond
            1000, or whole numbers beyond 100.
    """
    is_whole = depth.dtype.kind in "iu"
    with np.errstate(over="ignore"):
        depth = np.squeeze(depth).astype(np.float32)
    if depth.ndim != 2 or not np.isfinite(depth).all() or (depth < 0).any():
        raise DataError(
            f"{path} must hold one finite depth in metres per pixel, 0 where unknown. It has shape "
            f"{depth.shape} with {int((~np.isfinite(depth)).sum())} NaN or infinite and "
            f"{int((depth < 0).sum())} negative values"
        )
    farthest = depth.max(initial=0)
    if farthest > (_WHOLE_METRES if is_whole else LARGEST_DEPTH_M):
        raise DataError(
            f"{path} must hold metres. It has depths up to {farthest:g}"
            f"{' in whole numbers' if is_whole else ''}: divide millimetres by 1000"
        )
    return depth
