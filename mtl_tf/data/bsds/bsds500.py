"""BSDS500 (Arbelaez et al., TPAMI 2011) in its official layout."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.sample import DataError, Sample, make_sample

_LAYOUT = FolderLayout({"image": "images/{id}.jpg", "edges": "groundTruth/{id}.mat"})


class Bsds500(DenseDataset):
    """Photographs with edges by 4 to 9 annotators each.

    A folder with `data/images/SPLIT/*.jpg` and `data/groundTruth/SPLIT/*.mat` (or these without
    `data`), where SPLIT is `train`, `val` or `test`. A pixel is an edge if at least `agreement` of
    the annotators marked it; pixels marked by fewer annotators are invalid. `annotations` returns
    the map of each annotator, as the boundary benchmark requires.

    Source: Arbelaez et al., "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011.

    Args:
        root: path of the data folder.
        tasks: `edges`.
        input_shape: `(H, W, 3)` of the images in a batch; portrait images are resized to it too.
        agreement: minimum share of annotators that mark an edge, in (0, 1].
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if a split has no image, or a file is missing or damaged.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.Bsds500("BSR/BSDS500", batch_size=4)  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'edges': 1}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("edges",),
        input_shape: Sequence[int] = (321, 481, 3),
        agreement: float = 0.3,
        **options: Any,
    ) -> None:
        if not 0 < agreement <= 1:
            raise ValueError(f"agreement must be in (0, 1]. Received: {agreement}")
        self.root, self.agreement = pathlib.Path(root), agreement
        if (self.root / "data" / "images").is_dir():
            self.root = self.root / "data"
        splits = {
            split: sorted(f"{split}/{p.stem}" for p in (self.root / "images" / split).glob("*.jpg"))
            for split in ("train", "val", "test")
        }
        super().__init__(tasks, {"edges": CHANNELS["edges"]}, splits, input_shape, **options)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of its edges.

        Args:
            image_id: id of the image.
        """
        return _LAYOUT.paths(self.root, image_id)

    def annotations(self, image_id: str) -> list[np.ndarray]:
        """Return the edges of each annotator, `[H, W]` bool.

        Args:
            image_id: one of `ids(split)`.

        Raises:
            DataError: if the file is missing, damaged or has maps of different sizes.
        """
        path = self.paths(image_id)["edges"]
        annotators = files.as_list(files.read_matlab(path, "groundTruth"))
        try:
            maps = [np.asarray(annotator["Boundaries"]) > 0 for annotator in annotators]
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise DataError(f"{path}: groundTruth must hold Boundaries: {error!r}") from error
        shapes = {edges.shape for edges in maps}
        if len(shapes) != 1 or len(shapes.pop()) != 2:
            raise DataError(f"{path}: Boundaries must be maps [H, W] of one size")
        return maps

    def load(self, image_id: str) -> Sample:
        """Return the image and the edges at their original size.

        Args:
            image_id: id of the image.
        """
        share = np.mean(self.annotations(image_id), axis=0)
        is_edge = share >= self.agreement
        image = files.read_image(self.paths(image_id)["image"])
        targets, masks = {"edges": is_edge * np.float32(1)}, {"edges": (share == 0) | is_edge}
        return make_sample(image, targets, masks, image_id)
