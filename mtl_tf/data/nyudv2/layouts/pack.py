"""NYU Depth v2 as a pack of plain JPEG and PNG files."""

import pathlib
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout


class Pack(Layout):
    """Plain JPEG and PNG files, one folder per task; every n-th id is for validation."""

    _FILES: ClassVar = {
        "image": ("rgb", "jpg"),
        "semseg": ("seg40", "png"),
        "depth": ("depth", "png"),
        "normals": ("normal", "jpg"),
        "edges": ("edge", "png"),
    }
    _METRES_PER_CODE = 9.99547 / 255

    def __init__(self, root: pathlib.Path, val_every: int) -> None:
        self.root = root
        ids = files.read_ids(root / "ids.txt")
        self.splits = files.every_nth_for_validation(ids, val_every)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """See `Layout.paths`."""
        return {
            kind: self.root / folder / f"{image_id}.{suffix}"
            for kind, (folder, suffix) in self._FILES.items()
        }

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Read an image and its targets, see `Layout.load`."""
        paths = self.paths(image_id)
        targets: Arrays = {}
        masks: Arrays = {}
        for task in tasks:
            path = paths[task]
            if task == "normals":
                targets[task], masks[task] = files.read_normals(path, min_length=0.8)
                continue
            codes = files.read_map(path)
            if task == "semseg":
                masks[task] = codes != IGNORED
                files.check_classes(codes, masks[task], 40, path)
                targets[task] = codes
            elif task == "depth":
                targets[task] = (codes.astype(np.float32) + 0.5) * self._METRES_PER_CODE
                masks[task] = np.ones(codes.shape, bool)
            else:
                targets[task], masks[task] = (codes == 255).astype(np.float32), codes != 128
        return files.read_image(paths["image"]), targets, masks
