"""Class maps against the official files."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import scipy.io

from mtl_tf.data.nyudv2.classes import CLASS_40_TO_13, CLASSES_13, CLASSES_40, to_13_classes


def test_names_and_groups_fit_together() -> None:
    assert len(set(CLASSES_40)) == len(CLASS_40_TO_13) == 40 and len(set(CLASSES_13)) == 13
    assert set(CLASS_40_TO_13) == set(range(13))
    for name in ("bed", "books", "ceiling", "chair", "floor", "picture", "sofa", "wall", "window"):
        assert CLASSES_13[CLASS_40_TO_13[CLASSES_40.index(name)]] == name


def test_names_and_groups_are_those_of_the_pack(data_root: pathlib.Path) -> None:
    classes = json.loads((data_root / "nyud" / "classes.json").read_text())
    assert list(CLASS_40_TO_13) == list(classes["seg40_to_seg13"])


def test_names_and_groups_are_the_official_ones(data_root: pathlib.Path) -> None:
    folder = data_root / "layouts" / "nyud-mat"
    names = scipy.io.loadmat(folder / "classMapping40.mat")["className"].ravel()
    assert tuple(str(name[0]).lower() for name in names) == CLASSES_40


def test_13_classes_keep_unlabelled_pixels() -> None:
    labels = np.array([[0, 39, 255], [4, 21, 12]], np.uint8)
    assert to_13_classes(labels).tolist() == [[11, 6, 255], [3, 2, 12]]
