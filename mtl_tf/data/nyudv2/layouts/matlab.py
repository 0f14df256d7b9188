"""NYU Depth v2 as its authors publish it."""

import functools
import math
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from mtl_tf.data import files
from mtl_tf.data.borders import borders
from mtl_tf.data.geometry import KINECT, normals_from_depth
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout
from mtl_tf.data.sample import DataError

_LARGEST_IMAGE = 1 << 28  # numbers


class Matlab(Layout):
    """The official `nyu_depth_v2_labeled.mat` (HDF5) with `splits.mat` and a 40-class map.

    Normals are derived from its depth, edges are the borders of its classes.
    """

    def __init__(self, archive: pathlib.Path) -> None:
        self.archive = archive
        number = self._array("images").shape[0]
        self.splits = {}
        for split, key in (("train", "trainNdxs"), ("val", "testNdxs")):
            listed = [int(i) for i in _numbers(archive.parent / "splits.mat", key)]
            if not listed or min(listed) < 1:
                raise DataError(f"{archive.parent / 'splits.mat'}: {key} must list images 1, 2, ..")
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
                mapped = _numbers(folder / f"{name}.mat", key).astype(np.int64)
                if not mapped.size or mapped.min() < 0 or mapped.max() > 40:
                    raise DataError(f"{folder / name}.mat: {key} must hold classes 0..40")
                return np.concatenate([[IGNORED], mapped - 1]).astype(np.uint8)
        raise DataError(f"{folder / 'classMapping40.mat'} is missing: semantic classes need it")

    @functools.cached_property
    def _file(self) -> h5py.File:
        files.require_file(self.archive)
        return h5py.File(self.archive, "r")

    def _array(self, key: str) -> Any:
        try:
            if not isinstance(self._file.get(key, getlink=True), h5py.HardLink):
                raise TypeError("it is a link to elsewhere")
            found = self._file[key]
            if found.ndim != (4 if key == "images" else 3) or found.dtype.kind not in "iuf":
                raise TypeError(f"shape {found.shape}, type {found.dtype}")
            if found.external or found.is_virtual:
                raise TypeError("its numbers lie in another file")
            if math.prod(found.shape[1:]) > _LARGEST_IMAGE:
                raise TypeError(f"one image claims {found.shape[1:]}")
            return found
        except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, AttributeError ..
            raise DataError(f"{self.archive} is damaged or lacks {key!r}: {error}") from error

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """See `Layout.load`."""
        position = int(image_id) - 1
        try:  # HDF5 shows MATLAB's axes reversed: [3, W, H] and [W, H]
            image = np.ascontiguousarray(self._array("images")[position].transpose(2, 1, 0))
            depth = self._array("depths")[position].T
            raw = self._array("labels")[position].T
        except Exception as error:  # h5py: OSError, ValueError, IndexError ..
            raise DataError(f"{self.archive}, image {image_id}: damaged ({error})") from error
        targets, masks = {}, {}
        if {"depth", "normals"} & set(tasks):
            depth = files.checked_depth(depth, f"{self.archive}, image {image_id}")
            targets["depth"], masks["depth"] = depth, depth > 0
        if "normals" in tasks:
            height, width = depth.shape
            camera = KINECT.resized(width / 640, height / 480)
            targets["normals"], masks["normals"] = normals_from_depth(depth, camera)
        if {"semseg", "edges"} & set(tasks):
            if raw.dtype.kind not in "iu":
                raise DataError(f"{self.archive}: labels must be integers, not {raw.dtype}")
            known = np.ones(raw.shape, bool)
            files.checked_classes(raw, known, len(self._class_map), self.archive)
            labels = self._class_map[raw]
            known = labels != IGNORED
            targets |= {"semseg": labels, "edges": borders(labels, known)}
            masks |= {"semseg": known, "edges": known}
        return image, {t: targets[t] for t in tasks}, {t: masks[t] for t in tasks}


def _numbers(path: pathlib.Path, key: str) -> np.ndarray:
    found = np.asarray(files.read_matlab(path, key))
    if found.dtype.kind not in "biuf" or not found.size:
        raise DataError(f"{path}: {key} must hold numbers, not {found.dtype} {found.shape}")
    return np.ravel(found).astype(np.float64)
