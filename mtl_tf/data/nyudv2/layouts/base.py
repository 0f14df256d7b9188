"""Base class of the readers of NYU Depth v2."""

import abc
import pathlib
from collections.abc import Iterable

import numpy as np

TASKS = ("semseg", "depth", "normals", "edges")
Arrays = dict[str, np.ndarray]


class Layout(abc.ABC):
    """Reader of a layout on disk.

    Attributes:
        tasks: names of the tasks with targets.
        num_classes: number of semantic classes.
        splits: `{"train": ids, "val": ids}`.
    """

    tasks: tuple[str, ...] = TASKS
    num_classes: int = 40
    splits: dict[str, list[str]]

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of `"image"` and of each task that is stored in separate files.

        Args:
            image_id: id of the image.
        """
        return {}

    @abc.abstractmethod
    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Read an image and its targets.

        Args:
            image_id: id of the image.
            tasks: names of the tasks.

        Returns:
            Image `[H, W, 3]` uint8, targets `{task: [H, W]` or `[H, W, C]}` and masks
            `{task: [H, W]}` bool.

        Raises:
            DataError: if a file is missing, damaged or invalid.
        """
