"""NYU Depth v2 in its official layout."""

import functools
import math
import pathlib
import warnings
from collections.abc import Iterable

import h5py
import numpy as np

from mtl_tf.data import files
from mtl_tf.data.borders import borders
from mtl_tf.data.geometry import KINECT, normals_from_depth
from mtl_tf.data.nyudv2.classes import IGNORED
from mtl_tf.data.nyudv2.layouts.base import Arrays, Layout
from mtl_tf.data.sample import DataError

_MAX_IMAGE_SIZE = 1 << 28  # numbers


class Matlab(Layout):
    """The official `nyu_depth_v2_labeled.mat` (HDF5) with `splits.mat` and a 40-class map.

    Normals are computed from depth, edges are the borders of the classes.
    """

    def __init__(self, archive: pathlib.Path) -> None:
        self.archive = archive
        num_images = self._array("images").shape[0]
        self.splits = {}
        for split, key in (("train", "trainNdxs"), ("val", "testNdxs")):
            listed = [int(i) for i in _read_numbers(archive.parent / "splits.mat", key)]
            if not listed or min(listed) < 1:
                raise DataError(f"{archive.parent / 'splits.mat'}: {key} must list images 1, 2, ..")
            self.splits[split] = [f"{i:04d}" for i in listed if i <= num_images]
            if len(self.splits[split]) < len(listed):
                warnings.warn(
                    f"{archive} holds {num_images} images; {split} has {len(self.splits[split])} "
                    f"of the {len(listed)} listed in splits.mat",
                    stacklevel=3,
                )

    @functools.cached_property
    def _class_map(self) -> np.ndarray:
        """Class id of each raw label 0..894, 255 for unlabelled."""
        folder = self.archive.parent
        for name, key in (("classMapping40", "mapClass"), ("nyuv2_40class_mapping", "mapping")):
            if (folder / f"{name}.mat").is_file():
                mapped = _read_numbers(folder / f"{name}.mat", key).astype(np.int64)
                if not mapped.size or mapped.min() < 0 or mapped.max() > 40:
                    raise DataError(f"{folder / name}.mat: {key} must hold classes 0..40")
                return np.concatenate([[IGNORED], mapped - 1]).astype(np.uint8)
        raise DataError(f"{folder / 'classMapping40.mat'} is missing: semantic classes need it")

    @functools.cached_property
    def _file(self) -> h5py.File:
        files.require_file(self.archive)
        return h5py.File(self.archive, "r")

    def _array(self, key: str) -> h5py.Dataset:
        try:
            if not isinstance(self._file.get(key, getlink=True), h5py.HardLink):
                raise TypeError("it is a link to elsewhere")
            array = self._file[key]
            if array.ndim != (4 if key == "images" else 3) or array.dtype.kind not in "iuf":
                raise TypeError(f"shape {array.shape}, type {array.dtype}")
            if array.external or array.is_virtual:
                raise TypeError("its numbers are stored in another file")
            if math.prod(array.shape[1:]) > _MAX_IMAGE_SIZE:
                raise TypeError(f"one image claims {array.shape[1:]}")
            return array
        except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, AttributeError ..
            raise DataError(f"{self.archive} is damaged or lacks {key!r}: {error}") from error

    def load(self, image_id: str, tasks: Iterable[str]) -> tuple[np.ndarray, Arrays, Arrays]:
        """Read an image and its targets, see `Layout.load`."""
        position = int(image_id) - 1
        try:  # HDF5 reverses MATLAB's axes: [3, W, H] and [W, H]
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
            files.check_classes(raw, known, len(self._class_map), self.archive)
            labels = self._class_map[raw]
            known = labels != IGNORED
            targets |= {"semseg": labels, "edges": borders(labels, known)}
            masks |= {"semseg": known, "edges": known}
        return image, {t: targets[t] for t in tasks}, {t: masks[t] for t in tasks}


def _read_numbers(path: pathlib.Path, key: str) -> np.ndarray:
    array = np.asarray(files.read_matlab(path, key))
    if array.dtype.kind not in "biuf" or not array.size:
        raise DataError(f"{path}: {key} must hold numbers, not {array.dtype} {array.shape}")
    return np.ravel(array).astype(np.float64)
