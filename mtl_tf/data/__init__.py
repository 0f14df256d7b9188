"""Data sets of dense tasks as `tf.data` pipelines, one contract for all.

================= ================= ===================================== =======================
name              class             tasks                                 source
================= ================= ===================================== =======================
`nyud`            `NYUDv2`          semseg, depth, normals, edges         Silberman et al. 2012
`rendered_rooms`  `RenderedRooms`   all six                               rendered, no download
================= ================= ===================================== =======================

`data.train()`, `data.val()` and `data.test()` give batches `(image [B, H, W, 3],
{task: target [B, H, W, C]}, {task: validity mask [B, H, W]})`; `data.tasks` is `{task: channels}`.
Whatever is wrong with a file is a `DataError` that names it.
"""

import dataclasses

from mtl_tf.data.base import DenseDataset
from mtl_tf.data.nyudv2 import NYUDv2
from mtl_tf.data.rendered_rooms import RenderedRooms
from mtl_tf.data.sample import DataError, Sample
from mtl_tf.data.transforms import Augmentation, denormalise, normalise


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
    "DataError",
    "DenseDataset",
    "NYUDv2",
    "RenderedRooms",
    "Sample",
    "denormalise",
    "normalise",
]
