"""Images as the input of a network."""

import os
import pathlib
from collections.abc import Iterable
from typing import TypeAlias

import cv2
import keras
import numpy as np

from mtl_tf.data import DataError, RenderedRooms, normalise
from mtl_tf.data.files import read_image
from mtl_tf.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.text import shown

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A file or folder, or several."""

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif")


def network_input(network: keras.Model, photo: np.ndarray) -> np.ndarray:
    """Return a photograph as a batch of a network: resized, and normalised if it does not do that.

    Args:
        network: from images `[B, H, W, 3]`.
        photo: RGB `[h, w, 3]` uint8.

    Returns:
        `[1, H, W, 3]` float32.
    """
    image = _resized(photo, *network.input_shape[1:3])
    return as_batch(image, includes_preprocessing(network))


def as_batch(image: np.ndarray, takes_rgb: bool) -> np.ndarray:
    """Return an image `[H, W, 3]` uint8 as a batch `[1, H, W, 3]` float32.

    Args:
        image: RGB.
        takes_rgb: whether the values stay 0 to 255; else they are normalised.
    """
    return (image.astype(np.float32) if takes_rgb else normalise(image))[None]


def as_photo(photo: np.ndarray | str | os.PathLike[str]) -> np.ndarray:
    """Return a photograph as RGB `[H, W, 3]` uint8.

    Args:
        photo: such an array, or an image file.

    Raises:
        ValueError: for another array.
        DataError: for a file that is missing or damaged.
    """
    if isinstance(photo, str | os.PathLike):
        return read_image(pathlib.Path(photo))
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise ValueError(
            "A photograph must be an RGB image [H, W, 3] uint8, values 0 to 255. Received: "
            f"{photo.dtype}{list(photo.shape)}. Of a grey image use np.stack([grey] * 3, axis=-1)"
        )
    return photo


def includes_preprocessing(network: keras.Model) -> bool:
    """Return whether a network takes RGB images 0..255 and normalises them."""
    return bool(getattr(network, "arguments", {}).get("include_preprocessing", False))


def with_preprocessing(network: keras.Model) -> keras.Model:
    """Return a network of the same weights that takes RGB images 0..255.

    Args:
        network: an architecture of `mtl_tf.architectures`, or any functional model of images.
    """
    if includes_preprocessing(network):
        return network
    if hasattr(network, "with_preprocessing"):
        return network.with_preprocessing()
    image = keras.Input(network.input_shape[1:], name="image")
    scale, offset = 1 / (255.0 * IMAGENET_STD), -IMAGENET_MEAN / IMAGENET_STD
    x = keras.layers.Rescaling(scale.tolist(), offset.tolist())(image)
    return keras.Model(image, network(x), name=network.name)


def images_for(network: keras.Model, photos: Paths = ()) -> list[np.ndarray]:
    """Return images at the size of a network's input, to compare two of its forms on.

    Args:
        network: from images `[B, H, W, 3]`.
        photos: image files, and folders of them; by default a rendered room.

    Returns:
        RGB images `[H, W, 3]` uint8.

    Raises:
        DataError: if a photograph is missing or damaged.
    """
    height, width = network.input_shape[1:3]
    if not photos:
        rooms = RenderedRooms(input_shape=(height, width, 3), train_size=1, val_size=1)
        return [rooms.load("0").image]
    return [_resized(read_image(photo), height, width) for photo in image_files(photos)]


def image_files(paths: Paths) -> list[pathlib.Path]:
    """Return image files, and those in folders, in order.

    Args:
        paths: image files, and folders of them.

    Raises:
        DataError: if a folder holds no image.
    """
    files: list[pathlib.Path] = []
    each = [paths] if isinstance(paths, str | os.PathLike) else paths
    for path in map(pathlib.Path, each):
        of_path = [path]
        if path.is_dir():
            of_path = [p for p in sorted(path.iterdir()) if p.suffix.lower() in PHOTOS]
        if not of_path:
            raise DataError(f"{shown(path)} holds no photograph ({', '.join(PHOTOS)})")
        files += of_path
    return files


def _resized(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
