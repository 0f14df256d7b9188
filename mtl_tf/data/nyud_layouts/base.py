"""What the readers of NYU Depth v2 have in common."""

import abc
import pathlib
from collections.abc import Iterable

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.sample import DataError

TASKS = ("semseg", "depth", "normals", "edges")
Arrays = dict[str, np.ndarray]


class Layout(abc.ABC):
    """A reader of one layout on disk.

    Attributes:
        tasks: what it has targets for.
        num_classes: semantic classes of its targets.
        splits: `{"train": ids, "val": ids}`.
    """

    tasks: tuple[str, ...] = TASKS
    num_classes: int = 40
    splits: dict[str, list[str]]

    @abc.abstractmethod
    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Image `[H, W, 3]` uint8, and by task targets `[H, W]` or `[H, W, C]` and masks `[H, W]`.

        Raises:
            DataError: naming the file that is missing, damaged or not what it should be.
        """


def require_files(paths: Iterable[pathlib.Path]) -> None:
    """`DataError` naming the first of `paths` that does not exist."""
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing, but its id is listed")


def read_normals(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals `[H, W, 3]` and which are valid, from an array or an RGB picture."""
    if path.suffix == ".png":
        normals = files.read_image(path).astype(np.float32) / 255 * 2 - 1
    else:
        normals = files.read_array(path).astype(np.float64)
    if normals.ndim != 3 or normals.shape[2] != 3 or not (np.abs(normals) < 1e6).all():
        raise DataError(f"{path} must hold finite normals [H, W, 3]. It has shape {normals.shape}")
    length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    return normals / np.maximum(length, 1e-6)[..., None], length > 0.5
