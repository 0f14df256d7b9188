"""NYU Depth v2 as a pack of plain JPEG and PNG files."""

import pathlib
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.nyud_classes import IGNORED
from mtl_tf.data.nyud_layouts.base import TASKS, Arrays, Layout, require_files


class Pack(Layout):
    """Plain JPEG and PNG files, one folder per task; every n-th id is for validation."""

    _FILES: ClassVar = {"semseg": ("seg40", "png"), "depth": ("depth", "png"),
              "normals": ("normal", "jpg"), "edges": ("edge", "png")}  # fmt: skip
    _METRES_PER_CODE = 9.99547 / 255

    def __init__(self, root: pathlib.Path, val_every: int) -> None:
        self.root = root
        ids = files.read_lines(root / "ids.txt")
        self.splits = {
            "train": [i for n, i in enumerate(ids) if n % val_every],
            "val": ids[::val_every],
        }
        require_files(self._path(task, i) for i in ids for task in ("image", *TASKS))

    def _path(self, task: str, image_id: str) -> pathlib.Path:
        folder, suffix = self._FILES.get(task, ("rgb", "jpg"))
        return self.root / folder / f"{image_id}.{suffix}"

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        targets: Arrays = {}
        masks: Arrays = {}
        for task in tasks:
            path = self._path(task, image_id)
            if task == "normals":
                normals = files.read_image(path).astype(np.float32) / 255 * 2 - 1
                length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
                targets[task] = normals / np.maximum(length, 1e-6)[..., None]
                masks[task] = length > 0.8
                continue
            codes = files.read_map(path)
            if task == "semseg":
                masks[task] = codes != IGNORED
                files.checked_classes(codes, masks[task], 40, path)
                targets[task] = codes
            elif task == "depth":
                targets[task] = (codes.astype(np.float32) + 0.5) * self._METRES_PER_CODE
                masks[task] = np.ones(codes.shape, bool)
            else:
                targets[task], masks[task] = (codes == 255).astype(np.float32), codes != 128
        return files.read_image(self._path("image", image_id)), targets, masks
