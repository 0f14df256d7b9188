"""NYU Depth v2 (Silberman et al., ECCV 2012): semseg, depth, normals, edges of indoor scenes."""

import os
import pathlib
from collections.abc import Iterable, Sequence

from mtl_tf.data.base import CHANNELS, DenseDataset, Options
from mtl_tf.data.nyud_classes import CLASSES_13, CLASSES_40, to_13_classes
from mtl_tf.data.nyud_layouts import open_layout
from mtl_tf.data.sample import DataError, Sample, make_sample
from mtl_tf.data.transforms import Augmentation


class NYUDv2(DenseDataset):
    """NYU Depth v2 from any of its four layouts on disk (`mtl_tf.data.nyud_layouts`).

    The PNG pack holds the official training images only: every `val_every`-th id is for validation.
    The other layouts bring their split. `test()` gives the validation images with targets at their
    own size. Depth is in metres; normals have x right, y up, z towards the camera as far as the
    layout's files do.

    Source: Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV
    2012; augmentation as in Vandenhende et al., TPAMI 2021.

    Args:
        root: folder of the data, or path of `nyu_depth_v2_labeled.mat`.
        tasks: some of `semseg`, `depth`, `normals`, `edges`.
        input_shape: `(H, W, 3)` of the images in a batch; the images' own size without it.
        num_classes: 40 or 13 semantic classes.
        batch_size: images in a batch.
        augmentation: of training images.
        val_every: of the PNG pack, every n-th id is for validation.
        seed: of order and augmentation.
        cache: keep decoded samples in memory after the first epoch.
        num_workers: threads that decode and augment.

    Raises:
        DataError: if the folder is missing, has an unknown layout, or a listed file is missing.
        ValueError: for a task or a number of classes that is not there.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] = ("semseg", "depth", "normals", "edges"),
        input_shape: Sequence[int] | None = None,
        num_classes: int = 40,
        batch_size: int = 8,
        augmentation: Augmentation | None = None,
        val_every: int = 10,
        seed: int = 0,
        cache: bool = False,
        num_workers: int = 2,
    ) -> None:
        if val_every < 2:
            raise ValueError(f"val_every must be at least 2. Received: {val_every}")
        self.layout = open_layout(pathlib.Path(root), val_every)
        for split, ids in self.layout.splits.items():
            if not ids:
                raise DataError(f"{root}: there is no image for {split}")
        if num_classes not in (13, 40) or num_classes > self.layout.num_classes:
            raise ValueError(
                f"num_classes must be 13 or at most {self.layout.num_classes} for this layout. "
                f"Received: {num_classes}"
            )
        self.num_classes = num_classes
        available = {task: CHANNELS[task] for task in self.layout.tasks} | {"semseg": num_classes}
        if input_shape is None:
            first = self.layout.splits["train"][0]
            input_shape = self.layout.load(first, ())[0].shape
        names = CLASSES_13 if num_classes == 13 else CLASSES_40
        augmentation = Augmentation() if augmentation is None else augmentation
        options = Options(batch_size, augmentation, seed, cache, num_workers)
        super().__init__(tasks, available, input_shape, names, options)

    def ids(self, split: str) -> list[str]:
        """Ids of `"train"`, `"val"` or `"test"` (the same as `"val"`)."""
        return self.layout.splits[self.checked_split(split)]

    def load(self, image_id: str) -> Sample:
        """The image and the targets at their own size."""
        image, targets, masks = self.layout.load(image_id, self.tasks)
        if "semseg" in targets and self.num_classes == 13 and self.layout.num_classes == 40:
            targets["semseg"] = to_13_classes(targets["semseg"])
        return make_sample(image, targets, masks, image_id)
