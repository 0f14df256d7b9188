"""NYU Depth v2 in the layout of MTAN, LibMTL and Auto-Lambda."""

import pathlib
from collections.abc import Iterable

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.borders import borders
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout
from mtl_tf.data.sample import DataError

_FOLDERS = {
    "image": "image",
    "semseg": "label",
    "edges": "label",
    "depth": "depth",
    "normals": "normal",
}


class Mtan(Layout):
    """MTAN's preprocessed folders: NumPy arrays 288x384, 13 classes (-1 = unlabelled)."""

    num_classes = 13

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.splits = {}
        for split in ("train", "val"):
            stems = [p.stem for p in (root / split / "image").glob("*.npy")]
            if not stems:
                raise DataError(f"{root / split / 'image'} holds no .npy file")
            ordered = sorted(stems, key=lambda s: (len(s), s))
            self.splits[split] = [f"{split}/{stem}" for stem in ordered]

    def paths(self, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task; edges use the file of the classes."""
        split, stem = image_id.split("/")
        return {key: self.root / split / folder / f"{stem}.npy" for key, folder in _FOLDERS.items()}

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Read an image and its targets, see `Layout.load`."""
        paths = self.paths(image_id)
        path = paths["image"]
        image = files.read_array(path)
        in_range = image.size and ((image >= 0) & (image <= 1)).all()
        if image.ndim != 3 or image.shape[2] != 3 or not in_range:
            raise DataError(f"{path} must hold an image [H, W, 3] within 0..1, not {image.shape}")
        label_path = paths["semseg"]
        labels = np.squeeze(files.read_array(label_path))
        if labels.ndim != 2 or not np.isfinite(labels).all():
            raise DataError(f"{label_path} must hold classes [H, W]. It has shape {labels.shape}")
        labels = np.rint(labels)
        known = labels >= 0
        files.check_classes(labels, known, 13, label_path)
        labels = np.where(known, labels, IGNORED).astype(np.uint8)
        targets: Arrays = {"semseg": labels, "edges": borders(labels, known)}
        masks: Arrays = {"semseg": known, "edges": known}
        if "depth" in tasks:
            path = paths["depth"]
            targets["depth"] = files.checked_depth(files.read_array(path), path)
            masks["depth"] = targets["depth"] > 0
        if "normals" in tasks:
            targets["normals"], masks["normals"] = files.read_normals(paths["normals"])
        image = np.rint(image * 255).astype(np.uint8)
        return image, {t: targets[t] for t in tasks}, {t: masks[t] for t in tasks}
