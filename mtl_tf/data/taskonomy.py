"""Taskonomy (Zamir et al., CVPR 2018): indoor images with labels for many tasks."""

import csv
import os
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.geometry import convert_normals
from mtl_tf.data.sample import DataError, Sample, make_sample
from mtl_tf.data.transforms import Augmentation

CLASSES = (
    "background",
    "bottle",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
)
"""Names of the 17 semantic classes, in the order of their ids."""

SUBSETS = ("tiny", "medium", "full", "fullplus")

_TINY = {
    "train": (
        "allensville", "beechwood", "benevolence", "coffeen", "cosmos", "forkland", "hanson",
        "hiteman", "klickitat", "lakeville", "leonardo", "lindenwood", "marstons", "merom",
        "mifflinburg", "newfields", "onaga", "pinesdale", "pomaria", "ranchester", "shelbyville",
        "stockman", "tolstoy", "wainscott", "woodbine",
    ),
    "val": ("collierville", "corozal", "darden", "markleeville", "wiconisco"),
    "test": ("ihlen", "mcdade", "muleshoe", "noxapater", "uvalda"),
}  # fmt: skip
_DOMAINS = {
    "image": "rgb",
    "semseg": "segment_semantic",
    "depth": "depth_zbuffer",
    "normals": "normal",
    "edges": "edge_texture",
    "keypoints": "keypoints2d",
    "principal_curvature": "principal_curvature",
}
_MAX_DEPTH_CODE = 64500
_CODES_PER_METRE = 512
_CURVATURE_MEAN = np.array([123.572, 120.1], np.float32)
_CURVATURE_STD = np.array([31.922, 21.658], np.float32)


class Taskonomy(DenseDataset):
    """Taskonomy in its official layout, `DOMAIN/BUILDING/point_P_view_V_domain_DOMAIN.png`.

    - `semseg` (`segment_semantic`): 17 classes, pseudo-labels; "uncertain" is invalid;
    - `depth` (`depth_zbuffer`): metres;
    - `normals` (`normal`): in the frame of `mtl_tf.data.geometry`;
    - `edges` (`edge_texture`): where the heat map reaches `edge_threshold`;
    - `keypoints` (`keypoints2d`): heat map, 0 to 1;
    - `principal_curvature`: two channels, standardised to mean 0 and standard deviation 1 over the
      data set.

    The buildings of the tiny subset are built in. The other subsets need their list in `root`:
    `train_val_test_SUBSET.csv` of the authors' `splits_taskonomy.zip`. Listed buildings that are
    not on disk are skipped with a warning.

    Source: Zamir et al., "Taskonomy: Disentangling Task Transfer Learning", CVPR 2018.

    Args:
        root: path of the data folder.
        tasks: some of `semseg`, `depth`, `normals`, `edges`, `keypoints`, `principal_curvature`.
        input_shape: `(H, W, 3)` of the images in a batch.
        subset: `"tiny"`, `"medium"`, `"full"` or `"fullplus"`; or `{"train": buildings, "val":
            buildings}`, and `"test"` if it differs from `"val"`.
        edge_threshold: minimum code of an edge, relative to the maximum code, in (0, 1].
        **options: `batch_size` and other fields of `mtl_tf.data.options.Options`; by default
            augmentation only flips, and `check_files` is false.

    Raises:
        DataError: if no building of a split is on disk, or a file is missing or damaged.
        ValueError: for an unknown task or subset, or an option out of range.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.Taskonomy("taskonomy", ["depth"], subset="tiny")  # doctest: +SKIP
        >>> data.tasks  # doctest: +SKIP
        {'depth': 1}
    """

    augmentation = Augmentation(zoom=(1.0,))

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = ("semseg", "depth", "normals", "edges", "keypoints"),
        input_shape: Sequence[int] = (256, 256, 3),
        subset: str | dict[str, Sequence[str]] = "tiny",
        edge_threshold: float = 0.1,
        **options: Any,
    ) -> None:
        if not 0 < edge_threshold <= 1:
            raise ValueError(f"edge_threshold must be in (0, 1]. Received: {edge_threshold}")
        self.root, self.edge_threshold = pathlib.Path(root), edge_threshold
        buildings = subset if isinstance(subset, dict) else _buildings(self.root, subset)
        splits = {split: self._views(split, names) for split, names in buildings.items()}
        available = {task: CHANNELS[task] for task in _DOMAINS if task != "image"}
        available["semseg"] = len(CLASSES)
        options = {"check_files": False, **options}
        super().__init__(tasks, available, splits, input_shape, CLASSES, **options)

    def _views(self, split: str, buildings: Iterable[str]) -> list[str]:
        """Return `BUILDING/point_P_view_V` of all images of the buildings on disk."""
        suffix, views, absent = "_domain_rgb.png", [], []
        for building in buildings:
            names = sorted(p.name for p in (self.root / "rgb" / building).glob(f"*{suffix}"))
            views += [f"{building}/{name.removesuffix(suffix)}" for name in names]
            absent += [] if names else [building]
        if not views:
            raise DataError(f"{self.root / 'rgb'} holds no image of {split}: {absent[:5]}")
        if absent:
            warnings.warn(
                f"{self.root}: {len(absent)} buildings of {split} are left out, they are not on "
                f"disk: {absent[:5]}",
                stacklevel=3,
            )
        return views

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task.

        Args:
            image_id: id of the image.
        """
        building, view = image_id.split("/")
        return {
            kind: self.root / domain / building / f"{view}_domain_{domain}.png"
            for kind, domain in _DOMAINS.items()
        }

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at their original size.

        Args:
            image_id: id of the image.
        """
        paths = self.paths(image_id)
        targets: dict[str, np.ndarray] = {}
        masks: dict[str, np.ndarray] = {}
        if "semseg" in self.tasks:
            codes = files.read_map(paths["semseg"])
            masks["semseg"] = codes != 0
            files.check_classes(codes, masks["semseg"], len(CLASSES) + 1, paths["semseg"])
            targets["semseg"] = codes.astype(np.int32) - 1
        if "depth" in self.tasks:
            codes = files.read_map_16(paths["depth"])
            masks["depth"] = (codes > 0) & (codes < _MAX_DEPTH_CODE)
            targets["depth"] = codes / np.float32(_CODES_PER_METRE)
        if "normals" in self.tasks:
            codes = files.read_image(paths["normals"]).astype(np.float32)
            length = np.linalg.norm(codes - 127.5, axis=-1, keepdims=True)
            masks["normals"] = length[..., 0] > 127.5 / 2
            normals = (codes - 127.5) / np.maximum(length, 1e-6)
            targets["normals"] = convert_normals(normals, "taskonomy")
        if "edges" in self.tasks:
            is_edge = files.read_map_16(paths["edges"]) >= self.edge_threshold * 65535
            targets["edges"] = is_edge * np.float32(1)
        if "keypoints" in self.tasks:
            targets["keypoints"] = files.read_map_16(paths["keypoints"]) / np.float32(65535)
        if "principal_curvature" in self.tasks:
            codes = files.read_image(paths["principal_curvature"])[..., :2]
            targets["principal_curvature"] = (codes - _CURVATURE_MEAN) / _CURVATURE_STD
        return make_sample(files.read_image(paths["image"]), targets, masks, image_id)


def _buildings(root: pathlib.Path, subset: str) -> dict[str, tuple[str, ...]]:
    """Return the buildings of each split of a subset, from the authors' list if it exists."""
    if subset not in SUBSETS:
        raise ValueError(f"subset must be one of {SUBSETS}. Received: {subset!r}")
    path = root / f"train_val_test_{subset}.csv"
    if subset == "tiny" and not path.is_file():
        return _TINY
    rows = list(csv.reader(files.read_lines(path)))
    buildings = {
        split: tuple(row[0] for row in rows if len(row) == 4 and row[i].strip() == "1")
        for i, split in enumerate(("train", "val", "test"), start=1)
    }
    files.check_ids([name for names in buildings.values() for name in names], path)
    if not all(buildings.values()):
        raise DataError(f"{path} must hold lines 'building,train,val,test' with 0 or 1")
    return buildings
