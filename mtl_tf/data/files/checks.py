"""Values of targets: classes, depth and normals that are what they claim to be."""

import pathlib

import numpy as np

from mtl_tf.data.files.arrays import read_array
from mtl_tf.data.files.images import read_image
from mtl_tf.data.sample import DataError
from mtl_tf.targets import LARGEST_DEPTH_M

_MAX_INTEGER_METRES = 100  # larger integers are in another unit
_MAX_NORMAL_LENGTH = 2.0


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
