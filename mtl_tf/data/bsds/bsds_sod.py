"""BSDS300 with the SOD masks: edges by several annotators, and salient objects, outdoors."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.sample import DataError, Sample, make_sample

_LAYOUT = FolderLayout(
    {"image": "rgb/{id}.jpg", "edges": "edge/{id}.png", "saliency": "saliency/{id}.png"}
)


class BsdsSod(DenseDataset):
    """Photographs with edges by 4 to 9 annotators and masks of salient objects.

    A folder with `ids.txt`, `rgb/*.jpg`, `edge/*.png` (255 times the share of annotators that
    marked the pixel) and `saliency/*.png` (0 or 255). A pixel is an edge if at least `agreement` of
    the annotators marked it; pixels marked by fewer annotators are invalid.

    Source: Martin et al., ICCV 2001 (images, edges); Movahedi and Elder, 2010 (saliency).

    Args:
        root: path of the data folder.
        tasks: some of `edges`, `saliency`.
        input_shape: `(H, W, 3)` of the images in a batch; portrait images are resized to it too.
        agreement: minimum share of annotators that mark an edge, in (0, 1].
        val_every: every n-th id is for validation and for `test()`.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if a file is missing or damaged.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.BsdsSod("bsds-sod", batch_size=4)  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'edges': 1, 'saliency': 1}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("edges", "saliency"),
        input_shape: Sequence[int] = (321, 481, 3),
        agreement: float = 0.3,
        val_every: int = 10,
        **options: Any,
    ) -> None:
        if not 0 < agreement <= 1:
            raise ValueError(f"agreement must be in (0, 1]. Received: {agreement}")
        self.root, self.agreement = pathlib.Path(root), agreement
        splits = _LAYOUT.splits(self.root, val_every)
        available = {task: CHANNELS[task] for task in ("edges", "saliency")}
        super().__init__(tasks, available, splits, input_shape, **options)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task.

        Args:
            image_id: id of the image.
        """
        return _LAYOUT.paths(self.root, image_id)

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at their original size.

        Args:
            image_id: id of the image.
        """
        paths = self.paths(image_id)
        targets, masks = {}, {}
        if "edges" in self.tasks:
            share = files.read_map(paths["edges"]) / np.float32(255)
            targets["edges"] = (share >= self.agreement) * np.float32(1)
            masks["edges"] = (share == 0) | (share >= self.agreement)
        if "saliency" in self.tasks:
            codes = files.read_map(paths["saliency"])
            if not np.isin(codes, (0, 255)).all():
                raise DataError(f"{paths['saliency']} must hold 0 and 255 only")
            targets["saliency"] = (codes == 255) * np.float32(1)
        return make_sample(files.read_image(paths["image"]), targets, masks, image_id)
