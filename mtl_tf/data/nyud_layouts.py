"""The four ways NYU Depth v2 lies on disks, one reader each with the same three members.

========= ============================================================ =====================
reader    recognised by                                                tasks
========= ============================================================ =====================
`Pack`    `ids.txt`, `rgb/*.jpg`, `seg40/*.png`                        all four
`NyudMt`  `gt_sets/`, `images/*.jpg` (ASTMT, survey, InvPT)            all four
`Mtan`    `train/image/*.npy` (MTAN, LibMTL, Auto-Lambda)              all four, 13 classes
`Matlab`  `nyu_depth_v2_labeled*.mat`, `splits.mat`, `class*.mat`      semseg, depth, edges
========= ============================================================ =====================

`layout.tasks`, `layout.splits` (`{"train": ids, "val": ids}`) and `layout.load(id, tasks)`, which
gives the image and, for each task, the target and its mask; semantic classes are ids of the 40
(`Mtan`: of the 13), 255 where unlabelled.
"""

import functools
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import h5py
import numpy as np
import scipy.io

from mtl_tf.data import files
from mtl_tf.data.nyud_classes import IGNORED, class_borders
from mtl_tf.data.sample import DataError

TASKS = ("semseg", "depth", "normals", "edges")
Arrays = dict[str, np.ndarray]


class Layout(Protocol):
    """What the readers have in common."""

    tasks: tuple[str, ...]
    num_classes: int
    splits: dict[str, list[str]]

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Image `[H, W, 3]` uint8, targets and masks by task."""


def open_layout(root: pathlib.Path, val_every: int) -> Layout:
    """The reader of whatever lies at `root`; `DataError` if it is none of the four."""
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
    raise DataError(
        f"{root} has none of the known layouts of NYU Depth v2: the PNG pack (ids.txt, rgb/, "
        "seg40/), NYUD_MT (gt_sets/, images/), MTAN / LibMTL (train/image/*.npy) or the official "
        f"nyu_depth_v2_labeled.mat. It holds: {sorted(p.name for p in root.iterdir())[:10]}"
    )


def _require(paths: Iterable[pathlib.Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing, but its id is listed")


class Pack:
    """Plain JPEG and PNG files, one folder per task; every n-th id is for validation."""

    tasks, num_classes = TASKS, 40
    _FILES: ClassVar = {"semseg": ("seg40", "png"), "depth": ("depth", "png"),
              "normals": ("normal", "jpg"), "edges": ("edge", "png")}  # fmt: skip
    _METRES_PER_CODE = 9.99547 / 255

    def __init__(self, root: pathlib.Path, val_every: int) -> None:
        self.root = root
        ids = files.read_lines(root / "ids.txt")
        val = ids[::val_every]
        self.splits = {"train": [i for i in ids if i not in set(val)], "val": val}
        _require(self._path(task, i) for i in ids for task in ("image", *TASKS))

    def _path(self, task: str, image_id: str) -> pathlib.Path:
        folder, suffix = self._FILES.get(task, ("rgb", "jpg"))
        return self.root / folder / f"{image_id}.{suffix}"

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        targets, masks = {}, {}
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


class NyudMt:
    """`NYUD_MT`: JPEG images, PNG classes (0 = unlabelled, 1..40), NumPy depth and normals."""

    tasks, num_classes = TASKS, 40
    _FILES: ClassVar = {"image": ("images", (".jpg", ".png")), "semseg": ("segmentation", (".png",)),
              "depth": ("depth", (".npy",)), "normals": ("normals", (".npy", ".png")),
              "edges": ("edge", (".npy", ".png"))}  # fmt: skip

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.splits = {
            split: files.read_lines(root / "gt_sets" / f"{split}.txt") for split in ("train", "val")
        }
        for image_id in [i for ids in self.splits.values() for i in ids]:
            self._path("image", image_id)

    def _path(self, task: str, image_id: str) -> pathlib.Path:
        folder, suffixes = self._FILES[task]
        return files.find_file(self.root / folder, image_id, suffixes)

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        targets, masks = {}, {}
        for task in tasks:
            path = self._path(task, image_id)
            if task == "semseg":
                codes = files.read_map(path)
                masks[task] = codes != 0
                targets[task] = np.where(masks[task], codes - 1, IGNORED).astype(np.uint8)
                files.checked_classes(targets[task], masks[task], 40, path)
            elif task == "depth":
                targets[task] = files.checked_depth(files.read_array(path), path)
                masks[task] = targets[task] > 0
            elif task == "normals":
                targets[task], masks[task] = _normals(path)
            else:
                edges = files.read_map(path) if path.suffix == ".png" else files.read_array(path)
                edges = np.squeeze(edges).astype(np.float32)
                targets[task] = (edges >= (128 if edges.max(initial=0) > 1 else 0.5)) * 1.0
                masks[task] = np.ones(targets[task].shape, bool)
        return files.read_image(self._path("image", image_id)), targets, masks


class Mtan:
    """MTAN's preprocessed folders: NumPy arrays 288x384, 13 classes (-1 = unlabelled)."""

    tasks, num_classes = TASKS, 13

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.splits = {}
        for split in ("train", "val"):
            stems = [p.stem for p in (root / split / "image").glob("*.npy")]
            if not stems:
                raise DataError(f"{root / split / 'image'} holds no .npy file")
            ordered = sorted(stems, key=lambda s: (len(s), s))
            self.splits[split] = [f"{split}/{stem}" for stem in ordered]
        ids = [i for split in self.splits.values() for i in split]
        kinds = ("label", "depth", "normal")
        _require(self._path(kind, i) for i in ids for kind in kinds)

    def _path(self, kind: str, image_id: str) -> pathlib.Path:
        split, stem = image_id.split("/")
        return self.root / split / kind / f"{stem}.npy"

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        path = self._path("image", image_id)
        image = files.read_array(path)
        if image.ndim != 3 or image.shape[2] != 3 or image.min() < 0 or image.max() > 1:
            raise DataError(f"{path} must hold an image [H, W, 3] within 0..1, not {image.shape}")
        label_path = self._path("label", image_id)
        labels = np.rint(np.squeeze(files.read_array(label_path))).astype(np.int64)
        known = labels >= 0
        files.checked_classes(labels, known, 13, label_path)
        labels = np.where(known, labels, IGNORED).astype(np.uint8)
        targets: Arrays = {"semseg": labels, "edges": class_borders(labels)}
        masks: Arrays = {"semseg": known, "edges": known}
        if "depth" in tasks:
            path = self._path("depth", image_id)
            targets["depth"] = files.checked_depth(files.read_array(path), path)
            masks["depth"] = targets["depth"] > 0
        if "normals" in tasks:
            targets["normals"], masks["normals"] = _normals(self._path("normal", image_id))
        image = np.rint(image * 255).astype(np.uint8)
        return image, {t: targets[t] for t in tasks}, {t: masks[t] for t in tasks}


class Matlab:
    """The official `nyu_depth_v2_labeled.mat` (HDF5) with `splits.mat` and a 40-class map."""

    tasks, num_classes = ("semseg", "depth", "edges"), 40

    def __init__(self, archive: pathlib.Path) -> None:
        self.archive = archive
        number = self._array("images").shape[0]
        splits = _matlab(archive.parent / "splits.mat")
        self.splits = {}
        for split, key in (("train", "trainNdxs"), ("val", "testNdxs")):
            listed = [int(i) for i in np.ravel(splits[key])]
            self.splits[split] = [f"{i:04d}" for i in listed if i <= number]
            if len(self.splits[split]) < len(listed):
                warnings.warn(
                    f"{archive} holds {number} images; {split} has {len(self.splits[split])} of "
                    f"the {len(listed)} listed in splits.mat", stacklevel=3,
                )  # fmt: skip

    @functools.cached_property
    def _class_map(self) -> np.ndarray:
        """Class id (255 = unlabelled) for each raw label 0..894."""
        folder = self.archive.parent
        for name, key in (("classMapping40", "mapClass"), ("nyuv2_40class_mapping", "mapping")):
            if (folder / f"{name}.mat").is_file():
                mapped = np.ravel(_matlab(folder / f"{name}.mat")[key]).astype(np.int64)
                return np.concatenate([[IGNORED], mapped - 1]).astype(np.uint8)
        raise DataError(f"{folder / 'classMapping40.mat'} is missing: semantic classes need it")

    def _array(self, key: str) -> Any:
        try:
            return h5py.File(self.archive, "r")[key]
        except (OSError, KeyError) as error:
            raise DataError(f"{self.archive} is damaged or lacks {key!r}: {error}") from error

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        position = int(image_id) - 1
        try:  # HDF5 shows MATLAB's axes reversed: [3, W, H] and [W, H]
            image = np.ascontiguousarray(self._array("images")[position].transpose(2, 1, 0))
            depth = self._array("depths")[position].T
            raw = self._array("labels")[position].T
        except OSError as error:
            raise DataError(f"{self.archive}, image {image_id}: damaged ({error})") from error
        targets, masks = {}, {}
        if "depth" in tasks:
            targets["depth"] = files.checked_depth(depth, f"{self.archive}, image {image_id}")
            masks["depth"] = targets["depth"] > 0
        if {"semseg", "edges"} & set(tasks):
            known = np.ones(raw.shape, bool)
            files.checked_classes(raw, known, len(self._class_map), self.archive)
            labels = self._class_map[raw]
            targets |= {"semseg": labels, "edges": class_borders(labels)}
            masks |= {"semseg": labels != IGNORED, "edges": labels != IGNORED}
        return image, {t: targets[t] for t in tasks}, {t: masks[t] for t in tasks}


def _matlab(path: pathlib.Path) -> dict[str, Any]:
    try:
        return scipy.io.loadmat(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: it belongs beside nyu_depth_v2_labeled.mat") from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged or not a MATLAB file: {error}") from error


def _normals(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    if path.suffix == ".png":
        normals = files.read_image(path).astype(np.float32) / 255 * 2 - 1
    else:
        normals = files.read_array(path).astype(np.float32)
    if normals.ndim != 3 or normals.shape[2] != 3 or not np.isfinite(normals).all():
        raise DataError(f"{path} must hold finite normals [H, W, 3]. It has shape {normals.shape}")
    length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    return normals / np.maximum(length, 1e-6)[..., None], length > 0.5
