"""Readers of images: colours, codes and numbers."""

import contextlib
import io
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageOps

from mtl_tf.data.files.paths import require_file
from mtl_tf.data.sample import DataError
from mtl_tf.text import first_line, shown

_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "WEBP", "AVIF", "GIF", "PPM", "TIFF")
_REFUSED = {
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf"), "a camera's raw format"
    ),
    **dict.fromkeys((".psd", ".svg", ".pdf", ".eps"), "no plain image format"),
}


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
