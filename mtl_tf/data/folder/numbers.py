"""The numbers in a file of labels, whatever its format."""

import pathlib

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.sample import DataError
from mtl_tf.optional_packages import optional_import
from mtl_tf.text import shown


def read_numbers(path: pathlib.Path, apply_orientation: bool = True) -> np.ndarray:
    """Read the numbers of a label.

    Args:
        path: a NumPy array (`.npy`, or `.npz` with one array), an OpenEXR file, or an image.
        apply_orientation: whether the EXIF orientation of an image turns it.

    Returns:
        `[H, W]` or `[H, W, C]` with the dtype of the file.

    Raises:
        DataError: if the file is missing or damaged, or is another kind of file.
        ImportError: for an OpenEXR file without the package that reads it.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix == "npy":
        return files.read_array(path)
    if suffix == "npz":
        return files.read_archived_array(path)
    if suffix == "exr":
        return _read_exr(path)
    return files.read_pixels(path, apply_orientation)


def _read_exr(path: pathlib.Path) -> np.ndarray:
    """Read the colour channels, or the only one, of an OpenEXR file."""
    files.require_file(path)
    reader = optional_import("OpenEXR", "Reading .exr files")
    try:
        with reader.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except Exception as error:
        raise DataError(f"{shown(path)} is damaged or not an OpenEXR file: {error}") from error
    colours = [channels[name] for name in ("R", "G", "B") if name in channels]
    if len(colours) == 3:
        return np.stack(colours, axis=-1)
    if len(channels) != 1:
        raise DataError(
            f"{shown(path)} must have one channel, or R, G and B. It has {sorted(channels)}"
        )
    return next(iter(channels.values()))
