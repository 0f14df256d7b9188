"""Readers of the four layouts of NYU Depth v2 on disk, with a common interface.

========= ============================================================ =====================
reader    recognised by                                                tasks
========= ============================================================ =====================
`Pack`    `ids.txt`, `rgb/*.jpg`, `seg40/*.png`                        all four
`NyudMt`  `gt_sets/`, `images/*.jpg` (ASTMT, survey, InvPT)            all four
`Mtan`    `train/image/*.npy` (MTAN, LibMTL, Auto-Lambda)              all four, 13 classes
`Matlab`  `nyu_depth_v2_labeled*.mat`, `splits.mat`, `class*.mat`      all four
========= ============================================================ =====================

`layout.load(id, tasks)` returns the image and, for each task, the target and its mask. Semantic
classes are ids of the 40 classes (`Mtan`: of the 13), 255 where unlabelled.
"""

import pathlib

from mtl_tf.data.nyudv2.layouts.base import TASKS, Layout
from mtl_tf.data.nyudv2.layouts.matlab import Matlab
from mtl_tf.data.nyudv2.layouts.mtan import Mtan
from mtl_tf.data.nyudv2.layouts.nyud_mt import NyudMt
from mtl_tf.data.nyudv2.layouts.pack import Pack
from mtl_tf.data.sample import DataError


def open_layout(root: pathlib.Path, val_every: int) -> Layout:
    """Return the reader of the layout at `root`; raise `DataError` if it is unknown."""
    if root.is_file() and root.suffix == ".mat":
        return Matlab(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give the folder that holds NYU Depth v2")
    if (root / "ids.txt").is_file() and (root / "seg40").is_dir():
        return Pack(root, val_every)
    if (root / "gt_sets").is_dir():
        return NyudMt(root)
    if (root / "train" / "image").is_dir():
        return Mtan(root)
    archives = sorted(root.glob("nyu_depth_v2_labeled*.mat"))
    if archives:
        return Matlab(archives[0])
    has_yaml = (root / "data.yaml").is_file()
    raise DataError(
        f"{root} has none of the known layouts of NYU Depth v2: the PNG pack (ids.txt, rgb/, "
        "seg40/), NYUD_MT (gt_sets/, images/), MTAN / LibMTL (train/image/*.npy) or the official "
        f"nyu_depth_v2_labeled.mat. It holds: {sorted(p.name for p in root.iterdir())[:10]}. For "
        + ("its data.yaml: --data folder" if has_yaml else "your own images: mtl-tf data init")
    )


__all__ = ["TASKS", "Layout", "Matlab", "Mtan", "NyudMt", "Pack", "open_layout"]
