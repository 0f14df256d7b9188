"""Data sets for dense prediction as `tf.data` pipelines with one batch format.

================= =================== ===================================== =======================
name              class               tasks                                 source
================= =================== ===================================== =======================
`nyud`            `NYUDv2`            semseg, depth, normals, edges         Silberman et al. 2012
`cityscapes`      `Cityscapes`        semseg, depth, edges                  Cordts et al. 2016
`pascal_context`  `PascalContext`     all but depth                         Mottaghi et al. 2014
`taskonomy`       `Taskonomy`         semseg, depth, normals, edges, ..     Zamir et al. 2018
`bsds500`         `Bsds500`           edges                                 Arbelaez et al. 2011
`bsds_sod`        `BsdsSod`           edges, saliency                       Martin et al. 2001
`ccp`             `ClothingCoParsing` human_parts                           Yang et al. 2014
`folder`          `Folder`            those of its `data.yaml`              your own
`packed`          `PackedDataset`     those of the packed data set          any
`rendered_rooms`  `RenderedRooms`     all but `keypoints` and               rendered, no download
                                      `principal_curvature`
================= =================== ===================================== =======================

`union` combines data sets that have labels for different tasks; `pack` writes a data set as
TFRecord files, `unpack` converts them to plain files; `geometry` provides cameras, frames of
normals and normals from depth.

`data.train()`, `data.val()` and `data.test()` return batches `(image [B, H, W, 3],
{task: target [B, H, W, C]}, {task: validity mask [B, H, W]})`; `data.tasks` is `{task: channels}`.
A missing or damaged file raises a `DataError` with its path.
"""

import dataclasses
import inspect
import os
from typing import Any

from mtl_tf.optional_packages import imports_of_extra
from mtl_tf.tasks import Task

with imports_of_extra(__name__, "data"):
    from mtl_tf.data import folder, geometry
    from mtl_tf.data.base import DenseDataset
    from mtl_tf.data.bsds.bsds500 import Bsds500
    from mtl_tf.data.bsds.bsds_sod import BsdsSod
    from mtl_tf.data.ccp import ClothingCoParsing
    from mtl_tf.data.cityscapes import Cityscapes
    from mtl_tf.data.folder.folder import Folder
    from mtl_tf.data.nyudv2.nyudv2 import NYUDv2
    from mtl_tf.data.packed.checksums import damaged_files
    from mtl_tf.data.packed.packed import PackedDataset, own_tasks, read_index
    from mtl_tf.data.packed.packing import pack, unpack
    from mtl_tf.data.pascal_context.pascal_context import PascalContext
    from mtl_tf.data.rendered_rooms.rendered_rooms import RenderedRooms
    from mtl_tf.data.sample import DataError, Sample
    from mtl_tf.data.taskonomy import Taskonomy
    from mtl_tf.data.transforms import Augmentation, denormalise, normalise
    from mtl_tf.data.union import UnionDataset, union


def open_folder(name: str, root: str | os.PathLike[str], **options: Any) -> DenseDataset:
    """Open a data set by name.

    Args:
        name: a name from `TABLE` of a data set that reads a folder.
        root: path of the folder.
        **options: arguments of the class; `num_classes` is dropped if the class has no such
            argument.

    Returns:
        The data set.

    Raises:
        ValueError: for an unknown name, a folder that does not hold the data set, or an invalid
            option.
    """
    names = [known for known, info in TABLE.items() if info.needs_root]
    if name not in names:
        raise ValueError(f"name must be one of {names}. Received: {name!r}")
    cls: Any = TABLE[name].cls
    if "num_classes" not in inspect.signature(cls).parameters:
        options.pop("num_classes", None)
    try:
        return cls(root, **options)
    except DataError as error:  # of the folder, not of a file of an open data set
        raise ValueError(str(error)) from error


def tasks_of_folder(name: str, root: str | os.PathLike[str]) -> dict[str, Task]:
    """Return the tasks that a folder defines itself.

    Args:
        name: `"folder"` or `"packed"`.
        root: path of the folder.

    Returns:
        `{name: task}`; empty for another data set.

    Raises:
        ValueError: if its description or index is missing or damaged.
    """
    if name == "folder":
        labels = folder.read_description(root).tasks
        return {task: folder.task_of(task, label) for task, label in labels.items()}
    return own_tasks(read_index(os.fspath(root))) if name == "packed" else {}


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Entry of `TABLE`.

    Attributes:
        cls: class of the data set.
        tasks: names of the tasks with labels.
        source: publication or origin.
        needs_root: whether the class reads a folder.
    """

    cls: type[DenseDataset]
    tasks: tuple[str, ...]
    source: str
    needs_root: bool


TABLE: dict[str, DatasetInfo] = {
    "nyud": DatasetInfo(
        NYUDv2, ("semseg", "depth", "normals", "edges"), "Silberman et al. 2012", True
    ),
    "cityscapes": DatasetInfo(Cityscapes, ("semseg", "depth", "edges"), "Cordts et al. 2016", True),
    "pascal_context": DatasetInfo(
        PascalContext,
        ("semseg", "human_parts", "saliency", "normals", "edges"),
        "Mottaghi et al. 2014",
        True,
    ),
    "taskonomy": DatasetInfo(
        Taskonomy,
        ("semseg", "depth", "normals", "edges", "keypoints", "principal_curvature"),
        "Zamir et al. 2018",
        True,
    ),
    "bsds500": DatasetInfo(Bsds500, ("edges",), "Arbelaez et al. 2011", True),
    "bsds_sod": DatasetInfo(BsdsSod, ("edges", "saliency"), "Martin et al. 2001", True),
    "ccp": DatasetInfo(ClothingCoParsing, ("human_parts",), "Yang et al. 2014", True),
    "folder": DatasetInfo(Folder, (), "your own", True),
    "packed": DatasetInfo(PackedDataset, (), "mtl_tf.data.pack", True),
    "rendered_rooms": DatasetInfo(
        RenderedRooms,
        ("semseg", "depth", "normals", "edges", "saliency", "human_parts"),
        "rendered, no download",
        False,
    ),
}
"""The data sets by name."""

__all__ = [
    "TABLE",
    "Augmentation",
    "Bsds500",
    "BsdsSod",
    "Cityscapes",
    "ClothingCoParsing",
    "DataError",
    "DenseDataset",
    "Folder",
    "NYUDv2",
    "PackedDataset",
    "PascalContext",
    "RenderedRooms",
    "Sample",
    "Taskonomy",
    "UnionDataset",
    "damaged_files",
    "denormalise",
    "geometry",
    "normalise",
    "open_folder",
    "pack",
    "union",
    "unpack",
]
