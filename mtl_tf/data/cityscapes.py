"""Cityscapes (Cordts et al., CVPR 2016): semantic classes, depth and edges of street scenes."""

import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.borders import borders
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.sample import DataError, Sample, make_sample
from mtl_tf.targets import LARGEST_DEPTH_M

CLASSES = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""`{class: id in the label files}` of the 19 classes, in the order of their class ids."""

_MAX_ID = 33  # -1, a licence plate, is stored as 255
_SUFFIX = "_leftImg8bit.png"
_LAYOUT = FolderLayout(
    {
        "image": f"leftImg8bit/{{id}}{_SUFFIX}",
        "semseg": "gtFine/{id}_gtFine_labelIds.png",
        "edges": "gtFine/{id}_gtFine_instanceIds.png",
        "depth": "disparity/{id}_disparity.png",
        "depth/camera": "camera/{id}_camera.json",
    }
)


class Cityscapes(DenseDataset):
    """Cityscapes in its official layout.

    Images are read from `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`, semantic classes from
    `gtFine/.../*_gtFine_labelIds.png`, edges (borders between instances or classes) from
    `*_gtFine_instanceIds.png`, and depth from `disparity/.../*_disparity.png` and
    `camera/.../*_camera.json`:

        depth = baseline * focal_length / disparity

    where depth and baseline are in metres, focal length and disparity in pixels. Depth beyond
    1000 m (disparity below half a pixel) is invalid. The labels of the test split are not public:
    `test()` returns the validation images.

    Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR
    2016.

    Args:
        root: path of the data folder.
        tasks: some of `semseg`, `depth`, `edges`.
        input_shape: `(H, W, 3)` of the images in a batch.
        **options: `batch_size`, `augmentation` and other fields of `mtl_tf.data.options.Options`.

    Raises:
        DataError: if there is no image, or a file is missing or damaged.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.Cityscapes("cityscapes", batch_size=4)  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'semseg': 19, 'depth': 1, 'edges': 1}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("semseg", "depth", "edges"),
        input_shape: Sequence[int] = (256, 512, 3),
        **options: Any,
    ) -> None:
        self.root = pathlib.Path(root)
        splits = {}
        for split in ("train", "val"):
            folder = self.root / "leftImg8bit" / split
            paths = sorted(folder.glob(f"*/*{_SUFFIX}"))
            if not paths:
                raise DataError(f"{folder} holds no CITY/*{_SUFFIX}: is {root} Cityscapes?")
            splits[split] = [
                f"{split}/{p.parent.name}/{p.name.removesuffix(_SUFFIX)}" for p in paths
            ]
        available = {"semseg": len(CLASSES), "depth": CHANNELS["depth"], "edges": CHANNELS["edges"]}
        super().__init__(tasks, available, splits, input_shape, tuple(CLASSES), **options)

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
        if "semseg" in self.tasks:
            codes = files.read_map(paths["semseg"])
            files.check_classes(codes, codes != 255, _MAX_ID + 1, paths["semseg"])
            table = np.full(256, 255, np.uint8)
            table[list(CLASSES.values())] = np.arange(len(CLASSES))
            targets["semseg"], masks["semseg"] = table[codes], table[codes] != 255
        if "edges" in self.tasks:
            ids = files.read_map_16(paths["edges"])
            targets["edges"] = borders(ids, np.ones(ids.shape, bool))
        if "depth" in self.tasks:
            codes = files.read_map_16(paths["depth"])
            disparity = (codes.astype(np.float32) - 1) / 256
            scale = _baseline_times_focal_length(paths["depth/camera"])
            masks["depth"] = disparity > scale / LARGEST_DEPTH_M
            targets["depth"] = scale / np.where(masks["depth"], disparity, 1)
        return make_sample(files.read_image(paths["image"]), targets, masks, image_id)


def _baseline_times_focal_length(path: pathlib.Path) -> float:
    """Read the factor from inverse disparity in pixels to depth in metres."""
    files.require_file(path)
    try:
        camera = json.loads(path.read_text(encoding="utf-8"))
        factor = float(camera["extrinsic"]["baseline"]) * float(camera["intrinsic"]["fx"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing, damaged or no camera: {error!r}") from error
    if not (math.isfinite(factor) and factor > 0):
        raise DataError(f"{path}: baseline times focal length must be positive, not {factor}")
    return factor
