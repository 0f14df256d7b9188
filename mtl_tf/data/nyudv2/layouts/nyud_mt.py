"""NYU Depth v2 in the layout of ASTMT, the survey and InvPT."""

import pathlib
from collections.abc import Iterable

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.folder_layout import FolderLayout
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout
from mtl_tf.data.sample import DataError

_LAYOUT = FolderLayout(
    {
        "image": ("images/{id}.jpg", "images/{id}.png"),
        "semseg": "segmentation/{id}.png",
        "depth": "depth/{id}.npy",
        "normals": ("normals/{id}.npy", "normals/{id}.png"),
        "edges": ("edge/{id}.npy", "edge/{id}.png"),
    },
    lists="gt_sets/{split}.txt",
)


class NyudMt(Layout):
    """`NYUD_MT`: JPEG images, PNG classes (0 = unlabelled, 1..40), NumPy depth and normals."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.splits = _LAYOUT.splits(root)

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
            if task == "semseg":
                codes = files.read_map(path)
                masks[task] = codes != 0
                files.check_classes(codes, masks[task], 41, path)
                targets[task] = np.where(masks[task], codes - 1, IGNORED).astype(np.uint8)
            elif task == "depth":
                targets[task] = files.checked_depth(files.read_array(path), path)
                masks[task] = targets[task] > 0
            elif task == "normals":
                targets[task], masks[task] = files.read_normals(path)
            else:
                edges = files.read_map(path) if path.suffix == ".png" else files.read_array(path)
                edges = np.squeeze(edges)
                if edges.ndim != 2 or not np.isfinite(edges).all():
                    raise DataError(f"{path} must hold finite edges [H, W], not {edges.shape}")
                targets[task] = (edges >= (128 if edges.max(initial=0) > 1 else 0.5)) * 1.0
                masks[task] = np.ones(targets[task].shape, bool)
        return files.read_image(paths["image"]), targets, masks
