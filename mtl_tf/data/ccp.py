"""Clothing Co-Parsing: parts of people and their clothes in street photographs."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import DenseDataset
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.sample import Sample, make_sample

PARTS = (
    "background",
    "hair and hat",
    "skin",
    "upper clothes",
    "lower clothes",
    "whole-body clothes",
    "footwear",
    "accessory",
)
"""Names of the 8 parts, in the order of their ids."""

_LAYOUT = FolderLayout({"image": "rgb/{id}.jpg", "human_parts": "parts/{id}.png"})


class ClothingCoParsing(DenseDataset):
    """Photographs of one person each, with 7 classes of clothing and body, and the background.

    A folder with `ids.txt`, `rgb/*.jpg` and `parts/*.png` (0..7). The parts are groups of the
    59 labels of the data set, not those of PASCAL-Part.

    Source: Yang et al., "Clothing Co-Parsing by Joint Image Segmentation and Labeling", CVPR 2014.

    Args:
        root: path of the data folder.
        tasks: `human_parts`.
        input_shape: `(H, W, 3)` of the images in a batch.
        val_every: every n-th id is for validation and for `test()`.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if a file is missing or damaged.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.ClothingCoParsing("ccp", batch_size=4)  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'human_parts': 8}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("human_parts",),
        input_shape: Sequence[int] = (384, 256, 3),
        val_every: int = 10,
        **options: Any,
    ) -> None:
        self.root = pathlib.Path(root)
        splits = _LAYOUT.splits(self.root, val_every)
        available = {"human_parts": len(PARTS)}
        super().__init__(tasks, available, splits, input_shape, PARTS, **options)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of the parts.

        Args:
            image_id: id of the image.
        """
        return _LAYOUT.paths(self.root, image_id)

    def load(self, image_id: str) -> Sample:
        """Return the image and the parts at their original size.

        Args:
            image_id: id of the image.
        """
        paths = self.paths(image_id)
        parts = files.read_map(paths["human_parts"])
        files.check_classes(parts, np.ones(parts.shape, bool), len(PARTS), paths["human_parts"])
        image = files.read_image(paths["image"])
        return make_sample(image, {"human_parts": parts}, {}, image_id)
