"""NYU Depth v2 (Silberman et al., ECCV 2012): indoor scenes with labels of four tasks."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.nyudv2.classes import CLASSES_13, CLASSES_40, to_13_classes
from mtl_tf.data.nyudv2.layouts import open_layout
from mtl_tf.data.sample import Sample, make_sample


class NYUDv2(DenseDataset):
    """NYU Depth v2 in any of its four layouts on disk (`mtl_tf.data.nyudv2.layouts`).

    The PNG pack holds the official training images only: every `val_every`-th id is for validation.
    The other layouts define their splits. `test()` returns the validation images with targets at
    their original size. Depth is in metres. Normals are not converted: in the files of all layouts
    they are expected with x right, y up, z towards the camera.

    Source: Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV
    2012; augmentation as in Vandenhende et al., TPAMI 2021.

    Args:
        root: path of the data folder, or of `nyu_depth_v2_labeled.mat`.
        tasks: some of `semseg`, `depth`, `normals`, `edges`.
        input_shape: `(H, W, 3)` of the images in a batch; by default the size of the images.
        num_classes: 40 or 13 semantic classes.
        val_every: every n-th id of the PNG pack is for validation.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if the folder is missing, has an unknown layout, or a listed file is missing.
        ValueError: for an unavailable task or number of classes.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.NYUDv2("nyud", num_classes=13, batch_size=4)  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'semseg': 13, 'depth': 1, 'normals': 3, 'edges': 1}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("semseg", "depth", "normals", "edges"),
        input_shape: Sequence[int] | None = None,
        num_classes: int = 40,
        val_every: int = 10,
        **options: Any,
    ) -> None:
        self.layout = open_layout(pathlib.Path(root), val_every)
        if num_classes not in (13, 40) or num_classes > self.layout.num_classes:
            allowed = "13 or 40" if self.layout.num_classes == 40 else "13"
            raise ValueError(
                f"num_classes must be {allowed} for this layout. Received: {num_classes}"
            )
        self.num_classes = num_classes
        available = {task: CHANNELS[task] for task in self.layout.tasks} | {"semseg": num_classes}
        names = CLASSES_13 if num_classes == 13 else CLASSES_40
        super().__init__(tasks, available, self.layout.splits, input_shape, names, **options)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task, if the layout has separate files.

        Args:
            image_id: id of the image.
        """
        return self.layout.paths(image_id)

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at their original size.

        Args:
            image_id: id of the image.
        """
        image, targets, masks = self.layout.load(image_id, self.tasks)
        if "semseg" in targets and self.num_classes == 13 and self.layout.num_classes == 40:
            targets["semseg"] = to_13_classes(targets["semseg"])
        return make_sample(image, targets, masks, image_id)
