"""Readers of files of data sets; every failure is a `DataError` with the path of the file.

Files are untrusted: sizes in headers are compared with the size of the file before memory is
allocated, and pipes and devices, whose reads may never end, are refused. Links are followed, since
data sets often consist of them.
"""

import contextlib
import io
import math
import os
import pathlib
import zipfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import cv2
import numpy as np
import scipy.io
from PIL import Image, ImageOps

from mtl_tf.data.sample import DataError
from mtl_tf.targets import LARGEST_DEPTH_M
from mtl_tf.text import first_line, shown

_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "WEBP", "AVIF", "GIF", "PPM", "TIFF")
_REFUSED = {
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf"), "a camera's raw format"
    ),
    **dict.fromkeys((".psd", ".svg", ".pdf", ".eps"), "no plain image format"),
}
_MAX_MATLAB_SIZE = 1 << 28  # elements of a variable of a MATLAB file
_MAX_ARCHIVED_BYTES = 1 << 30
_MAX_INTEGER_METRES = 100  # larger integers are in another unit
_MAX_NORMAL_LENGTH = 2.0


def require_file(path: pathlib.Path) -> None:
    """Raise `DataError` if a path is missing or not a regular file."""
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


def first_existing(*paths: pathlib.Path) -> pathlib.Path:
    """Return the first of `paths` that is a file, or the first path if there is none."""
    return next(filter(_is_file, paths), paths[0])


def require(paths: Iterable[pathlib.Path]) -> None:
    """Raise `DataError` with the first paths that are not files and the number of others."""
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        more = f" and {len(missing) - 3} more files" if len(missing) > 3 else ""
        named = ", ".join(map(shown, missing[:3]))
        raise DataError(f"{named}{more}: missing, but the images they belong to are listed")


def read_lines(path: pathlib.Path) -> list[str]:
    """Read the non-empty lines of a text file, stripped; raise `DataError` if there are none."""
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
    """Read the image ids of a text file, one per line.

    Raises:
        DataError: if there are none, one is repeated, or one leads out of the data folder.
    """
    ids = read_lines(path)
    check_ids(ids, path)
    return ids


def check_ids(ids: list[str], path: pathlib.Path) -> None:
    """Raise `DataError` with `path` if an id is repeated or leads out of the data folder."""
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


def read_image(path: pathlib.Path, apply_orientation: bool = True) -> np.ndarray:
    """Read a colour image as `[H, W, 3]` uint8 RGB.

    Args:
        path: of the file. Transparency is ignored.
        apply_orientation: whether the EXIF orientation of a photograph turns the image.

    Raises:
        DataError: for a file that is missing or damaged, in a format that is not read, with more
            than one frame, or with more than 8 bits per channel.
    """
    return np.asarray(_decoded(path, "RGB", apply_orientation=apply_orientation))


def read_pixels(path: pathlib.Path, apply_orientation: bool = True) -> np.ndarray:
    """Read the numbers in an image file as they are: of a palette the indices.

    Args:
        path: of the file.
        apply_orientation: whether the EXIF orientation turns the image.

    Returns:
        `[H, W]` or `[H, W, C]`, C of 2 to 4: bool, uint8, uint16, int32 or float32.

    Raises:
        DataError: as for `read_image`, except that 16-bit channels are read.
    """
    image = _decoded(path, None, apply_orientation=apply_orientation)
    if image.mode in ("RGB", "RGBA"):  # Pillow keeps 8 of 16 bits
        flag = cv2.IMREAD_UNCHANGED | (0 if apply_orientation else cv2.IMREAD_IGNORE_ORIENTATION)
        exact = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
        if exact is not None and exact.dtype == np.uint16 and exact.ndim == 3:
            if exact.shape[1::-1] != image.size:  # OpenCV left out what Pillow turned
                raise DataError(
                    f"{shown(path)} has 16-bit colours and an orientation that turns it: save it "
                    "upright"
                )
            return exact[..., [2, 1, 0, 3][: exact.shape[2]]]
    if (
        image.mode not in ("1", "L", "P", "LA", "RGB", "RGBA", "I", "F")
        and "I;16" not in image.mode
    ):
        raise DataError(f"{shown(path)} must hold numbers. It has mode {image.mode!r}")
    return np.asarray(image)


def read_map(path: pathlib.Path) -> np.ndarray:
    """Read the codes of a one-channel 8-bit image (grey or palette), `[H, W]` uint8."""
    image = _decoded(path, None)
    if image.mode not in ("L", "P"):
        raise DataError(f"{path} must be an 8-bit image of one channel. It has mode {image.mode!r}")
    return np.asarray(image)


def read_map_16(path: pathlib.Path) -> np.ndarray:
    """Read the codes of a one-channel 16-bit image, `[H, W]` uint16."""
    image = _decoded(path, None)
    if image.mode not in ("I;16", "I;16B", "I"):
        raise DataError(f"{path} must be a 16-bit image of one channel. It has mode {image.mode!r}")
    values = np.asarray(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > np.iinfo(np.uint16).max:
        raise DataError(f"{path} must hold 16-bit values. It holds {values.min()}..{values.max()}")
    return values.astype(np.uint16)


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode an image file as `[H, W, 3]` uint8 RGB.

    Args:
        data: bytes of the image file.
        name: name of the image in errors.
    """
    return np.asarray(_decoded(io.BytesIO(data), "RGB", name))


def _decoded(
    source: pathlib.Path | io.BytesIO,
    mode: str | None,
    name: str = "",
    apply_orientation: bool = True,
) -> Image.Image:
    name = name or shown(source)
    if isinstance(source, pathlib.Path):
        require_file(source)
        if source.suffix.lower() in _REFUSED:
            kind = _REFUSED[source.suffix.lower()]
            raise DataError(f"{name} has {kind}, which is not read: convert it to PNG or JPEG")
    Image.init()  # only safe decoders: the EPS decoder starts another program
    try:
        with Image.open(source, formats=[f for f in _FORMATS if f in Image.OPEN]) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a photograph with its preview
                raise ValueError(f"it has {frames} frames: give one image")
            bits_lost = mode is not None and any(";16" in str(tile) for tile in image.tile)
            image.load()
            if bits_lost:
                raise ValueError("it must have 8-bit channels, and has 16 bits")
            if mode is not None and image.mode.startswith(("I", "F")):  # clipped at 255
                raise ValueError(f"it must have 8-bit channels, and has mode {image.mode!r}")
            if apply_orientation:
                with contextlib.suppress(Exception):  # ignore a damaged tag
                    ImageOps.exif_transpose(image, in_place=True)
            return image if mode is None or image.mode == mode else image.convert(mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name} is too large an image: {error} Scale it down") from error
    except Exception as error:  # Pillow raises many types
        raise DataError(f"{name} is damaged or not an image: {first_line(error)}") from error


def read_array(path: pathlib.Path) -> np.ndarray:
    """Read a NumPy array of numbers; pickled objects are refused."""
    require_file(path)
    try:
        with path.open("rb") as stream:
            array = decode_npy(stream, path.stat().st_size)
    except Exception as error:  # NumPy also raises TokenError, SyntaxError, MemoryError
        raise DataError(
            f"{shown(path)} is damaged or not a NumPy array: {first_line(error)}"
        ) from error
    return _numbers(array, path)


def read_archived_array(path: pathlib.Path) -> np.ndarray:
    """Read the only array of an `.npz` file; pickled objects are refused."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1:
                raise ValueError(f"it has {len(members)} arrays: save one")
            with archive.open(members[0]) as stream:
                content = io.BytesIO(stream.read(_MAX_ARCHIVED_BYTES + 1))
        size = content.getbuffer().nbytes
        if size > _MAX_ARCHIVED_BYTES:
            raise ValueError(f"it unpacks to more than {_MAX_ARCHIVED_BYTES >> 20} MiB")
        array = decode_npy(content, size)
    except Exception as error:  # zlib, zipfile and NumPy raise many types
        raise DataError(
            f"{shown(path)} is damaged or not a NumPy archive: {first_line(error)}"
        ) from error
    return _numbers(array, path)


def _numbers(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{shown(path)} must hold numbers. It has dtype {array.dtype}")
    return array


def decode_npy(stream: BinaryIO, size: int) -> np.ndarray:
    """Decode a `.npy` stream.

    Args:
        stream: a seekable stream.
        size: its length in bytes.

    Raises:
        ValueError: if the header claims more bytes, or the array holds pickled objects.
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
    claimed, available = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or claimed > available:
        raise ValueError(f"its header claims {claimed} bytes of numbers, there are {available}")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def read_matlab(path: pathlib.Path, key: str) -> np.ndarray | dict[str, Any]:
    """Read a variable of a MATLAB file (before 7.3); structures become dictionaries."""
    require_file(path)
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
        if math.prod(shapes[key]) > _MAX_MATLAB_SIZE:
            raise ValueError(f"{key!r} claims to be {'x'.join(map(str, shapes[key]))}")
        return scipy.io.loadmat(path, simplify_cells=True, variable_names=[key])[key]
    except Exception as error:  # SciPy raises many types
        raise DataError(f"{shown(path)} is damaged or lacks {key!r}: {error!r}") from error


def as_list(value: np.ndarray | dict[str, Any]) -> list[Any]:
    """Return a MATLAB cell, struct or struct array as a list."""
    return [value] if isinstance(value, dict) else list(np.ravel(np.asarray(value, object)))


def read_normals(path: pathlib.Path, min_length: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Read surface normals from a NumPy array, or from an image with colours `(n + 1) / 2`.

    Args:
        path: a `.npy` file or an image.
        min_length: vectors that are not longer are invalid.

    Returns:
        Unit normals `[H, W, 3]`, and their validity `[H, W]` bool.

    Raises:
        DataError: if the file is damaged or does not hold unit vectors.
    """
    if path.suffix == ".npy":
        normals = read_array(path).astype(np.float64)
    else:
        normals = read_image(path).astype(np.float32) / 255 * 2 - 1
    if normals.ndim != 3 or normals.shape[2] != 3 or not (np.abs(normals) < 1e6).all():
        raise DataError(f"{path} must hold finite normals [H, W, 3]. It has shape {normals.shape}")
    length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    if length.max(initial=0) > _MAX_NORMAL_LENGTH:
        raise DataError(
            f"{path} must hold unit vectors. The longest has length {length.max():.4g}: decode "
            "colours as 2 * rgb / 255 - 1"
        )
    return normals / np.maximum(length, 1e-6)[..., None], length > min_length


def check_classes(
    labels: np.ndarray, valid: np.ndarray, num_classes: int, path: str | pathlib.Path
) -> None:
    """Raise `DataError` if a valid label is not in 0..num_classes-1."""
    wrong = valid & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        raise DataError(
            f"{path} holds class {int(labels[wrong][0])}, but classes must be in "
            f"0..{num_classes - 1}"
        )


def checked_depth(depth: np.ndarray, path: str | pathlib.Path) -> np.ndarray:
    """Return depth as `[H, W]` float32 in metres, 0 where unknown.

    Args:
        depth: `[H, W]` in metres; axes of length 1 are removed.
        path: name of the file in errors.

    Raises:
        DataError: for NaN, infinite or negative values, and for another unit: values above 1000,
            or integers above 100.
    """
    is_integer = depth.dtype.kind in "iu"
    with np.errstate(over="ignore"):
        depth = np.squeeze(depth).astype(np.float32)
    if depth.ndim != 2 or not np.isfinite(depth).all() or (depth < 0).any():
        raise DataError(
            f"{path} must hold one finite depth in metres per pixel, 0 where unknown. It has shape "
            f"{depth.shape} with {int((~np.isfinite(depth)).sum())} NaN or infinite and "
            f"{int((depth < 0).sum())} negative values"
        )
    max_depth = depth.max(initial=0)
    if max_depth > (_MAX_INTEGER_METRES if is_integer else LARGEST_DEPTH_M):
        raise DataError(
            f"{path} must hold metres. It has depths up to {max_depth:g}"
            f"{' in whole numbers' if is_integer else ''}: divide millimetres by 1000"
        )
    return depth
