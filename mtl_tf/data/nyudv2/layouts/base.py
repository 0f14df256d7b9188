"""Base of the readers of NYU Depth v2."""

import abc
import pathlib
from collections.abc import Iterable

import numpy as np

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

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Files of `"image"` and of each task, as far as they lie in files of their own."""
        return {}

    @abc.abstractmethod
    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Image `[H, W, 3]` uint8, and by task targets `[H, W]` or `[H, W, C]` and masks `[H, W]`.

        Raises:
            DataError: naming the file that is missing, damaged or not what it should be.
        """
