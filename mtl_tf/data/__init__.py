"""Data sets of dense tasks as `tf.data` pipelines, one contract for all.

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
`packed`          `PackedDataset`     those of the data set that was packed any
`rendered_rooms`  `RenderedRooms`     all but Taskonomy's own               rendered, no download
================= =================== ===================================== =======================

`union` makes one data set of several that have labels for different tasks; `pack` writes any of
them as TFRecord files, `unpack` makes plain files of those; `geometry` has cameras,
frames of normals and normals from depth.

`data.train()`, `data.val()` and `data.test()` give batches `(image [B, H, W, 3],
{task: target [B, H, W, C]}, {task: validity mask [B, H, W]})`; `data.tasks` is `{task: channels}`.
Whatever is wrong with a file is a `DataError` that names it.
"""

import dataclasses
import inspect
import os
from typing import Any

from mtl_tf.data import geometry
from mtl_tf.data.base import DenseDataset
from mtl_tf.data.bsds500 import Bsds500
from mtl_tf.data.bsds_sod import BsdsSod
from mtl_tf.data.ccp import ClothingCoParsing
from mtl_tf.data.cityscapes import Cityscapes
from mtl_tf.data.nyudv2.nyudv2 import NYUDv2
from mtl_tf.data.packed.packed import PackedDataset, damaged_files
from mtl_tf.data.packed.packing import pack, unpack
from mtl_tf.data.pascal_context.pascal_context import PascalContext
from mtl_tf.data.rendered_rooms.rendered_rooms import RenderedRooms
from mtl_tf.data.sample import DataError, Sample
from mtl_tf.data.taskonomy import Taskonomy
from mtl_tf.data.transforms import Augmentation, denormalise, normalise
from mtl_tf.data.union import UnionDataset, union


def open_folder(name: str, root: str | os.PathLike[str], **options: Any) -> DenseDataset:
    """The data set of that name in a folder.

    Args:
        name: a name from `TABLE` of a data set that reads a folder.
        root: the folder.
        **options: of the class; `num_classes` is left out where there is no choice.

    Raises:
        ValueError: for a name that is not there, a folder that does not hold the data set, or as
            the class does.
    """
    names = [known for known, row in TABLE.items() if row.needs_root]
    if name not in names:
        raise ValueError(f"name must be one of {names}. Received: {name!r}")
    cls: Any = TABLE[name].cls
    if "num_classes" not in inspect.signature(cls).parameters:
        options.pop("num_classes", None)
    try:
        return cls(root, **options)
    except DataError as error:  # of the folder, not of a file of an open data set
        raise ValueError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of `TABLE`.

    Attributes:
        cls: the class.
        tasks: what it has labels for.
        source: where it comes from.
        needs_root: whether it reads a folder the user has.
    """

    cls: type[DenseDataset]
    tasks: tuple[str, ...]
    source: str
    needs_root: bool


TABLE: dict[str, Row] = {
    "nyud": Row(NYUDv2, ("semseg", "depth", "normals", "edges"), "Silberman et al. 2012", True),
    "cityscapes": Row(Cityscapes, ("semseg", "depth", "edges"), "Cordts et al. 2016", True),
    "pascal_context": Row(
        PascalContext,
        ("semseg", "human_parts", "saliency", "normals", "edges"),
        "Mottaghi et al. 2014",
        True,
    ),
    "taskonomy": Row(
        Taskonomy,
        ("semseg", "depth", "normals", "edges", "keypoints", "principal_curvature"),
        "Zamir et al. 2018",
        True,
    ),
    "bsds500": Row(Bsds500, ("edges",), "Arbelaez et al. 2011", True),
    "bsds_sod": Row(BsdsSod, ("edges", "saliency"), "Martin et al. 2001", True),
    "ccp": Row(ClothingCoParsing, ("human_parts",), "Yang et al. 2014", True),
    "packed": Row(PackedDataset, (), "mtl_tf.data.pack", True),
    "rendered_rooms": Row(
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
