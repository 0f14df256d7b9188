"""NYU Depth v2 as a pack of plain JPEG and PNG files."""

import pathlib
from collections.abc import Iterable

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout

_METRES_PER_CODE = 9.99547 / 255
_LAYOUT = FolderLayout(
    {
        "image": "rgb/{id}.jpg",
        "semseg": "seg40/{id}.png",
        "depth": "depth/{id}.png",
        "normals": "normal/{id}.jpg",
        "edges": "edge/{id}.png",
    }
)


class Pack(Layout):
    """Plain JPEG and PNG files, one folder per task; every n-th id is for validation."""

    def __init__(self, root: pathlib.Path, val_every: int) -> None:
        self.root = root
        self.splits = _LAYOUT.splits(root, val_every)

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task."""
        return _LAYOUT.paths(self.root, image_id)

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
                targets[task] = (codes.astype(np.float32) + 0.5) * _METRES_PER_CODE
                masks[task] = np.ones(codes.shape, bool)
            else:
                targets[task], masks[task] = (codes == 255).astype(np.float32), codes != 128
        return files.read_image(paths["image"]), targets, masks
