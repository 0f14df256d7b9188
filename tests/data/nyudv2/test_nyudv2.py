"""The public NYUDv2 class: arguments, bad folders and files, and the real samples."""

from __future__ import annotations

import pathlib
import re

import h5py
import numpy as np
import pytest
import scipy.io

from mtl_tf.data import TABLE, DataError, NYUDv2
from mtl_tf.data.nyudv2.layouts import TASKS
from mtl_tf.data.sample import Sample
from tests.helpers.nyud_folders import CLASSES, WRITERS, save, write_mtan, write_nyud_mt, write_pack


@pytest.mark.parametrize(
    ("layout", "arguments", "message"),
    [
        ("pack", {"tasks": ["saliency"]}, "saliency"),
        ("pack", {"tasks": []}, "tasks"),
        ("pack", {"num_classes": 21}, "num_classes"),
        ("pack", {"val_every": 1}, "val_every"),
        ("pack", {"batch_size": 0}, "batch_size"),
        ("pack", {"input_shape": (24, 32)}, "input_shape"),
        ("mtan", {"num_classes": 40}, "num_classes"),
        ("matlab", {"tasks": ["saliency"]}, "saliency"),
    ],
)
def test_bad_arguments_are_refused(layout, arguments, message, tmp_path) -> None:
    WRITERS[layout](tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        NYUDv2(tmp_path, **{"tasks": ["depth"]} | arguments)
    assert not isinstance(caught.value, DataError)


def test_table_row_is_right(tmp_path: pathlib.Path) -> None:
    write_pack(tmp_path)
    row = TABLE["nyud"]
    assert row.cls is NYUDv2 and row.needs_root
    assert tuple(row.cls(tmp_path).tasks) == row.tasks == TASKS


def test_folders_must_be_there_and_known(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "none"))):
        NYUDv2(tmp_path / "none")
    (tmp_path / "holiday.jpg").touch()
    for name in ("ids.txt", "NYUD_MT", "MTAN", r"nyu_depth_v2_labeled\.mat", r"holiday\.jpg"):
        with pytest.raises(DataError, match=name):
            NYUDv2(tmp_path)


def test_batches_are_at_the_input_size_and_tests_at_their_own(tmp_path: pathlib.Path) -> None:
    write_nyud_mt(tmp_path)
    data = NYUDv2(tmp_path, input_shape=(12, 20, 3), batch_size=3)
    for dataset, count, size in [(data.train(), 3, (12, 20)), (data.test(), 1, (24, 32))]:
        ((image, targets, masks),) = list(dataset)
        assert image.shape == (count, 12, 20, 3) and set(targets) == set(masks) == set(TASKS)
        for task, target in targets.items():
            assert target.shape == (count, *size, 3 if task == "normals" else 1)
            assert masks[task].shape == (count, *size)


@pytest.mark.parametrize(
    ("layout", "removed"),
    [
        ("pack", "depth/0003.png"),
        ("pack", "rgb/0001.jpg"),
        ("pack", "normal/0002.jpg"),
        ("pack", "ids.txt"),
        ("nyud_mt", "images/0002.jpg"),
        ("nyud_mt", "gt_sets/val.txt"),
        ("nyud_mt", "segmentation/0002.png"),
        ("nyud_mt", "edge/0001.npy"),
        ("mtan", "train/label/2.npy"),
        ("mtan", "val/image/0.npy"),
        ("matlab", "splits.mat"),
        ("matlab", "classMapping40.mat"),
    ],
)
def test_missing_files_are_named(layout: str, removed: str, tmp_path: pathlib.Path) -> None:
    WRITERS[layout](tmp_path)
    (tmp_path / removed).unlink()
    named = {"ids.txt": "ids.txt", "val/image/0.npy": str(pathlib.Path("val", "image"))}
    with pytest.raises(DataError, match=re.escape(named.get(removed, removed))):
        load_all(tmp_path, layout)


def load_all(root: pathlib.Path, layout: str) -> list[Sample]:
    data = NYUDv2(root, None, num_classes=CLASSES[layout])
    return [data.load(i) for split in ("train", "val") for i in data.ids(split)]


GREY, FLOAT = np.full((24, 32), 9, np.uint8), np.ones((24, 32), np.float32)
BAD_VALUES = {
    "pack class 40": ("pack", "seg40/0002.png", GREY + 31),
    "pack colour": ("pack", "seg40/0002.png", GREY[..., None].repeat(3, 2)),
    "pack 16 bit": ("pack", "depth/0002.png", GREY.astype(np.uint16)),
    "class 41": ("nyud_mt", "segmentation/0002.png", GREY + 32),
    "nan depth": ("nyud_mt", "depth/0002.npy", FLOAT * np.nan),
    "negative depth": ("nyud_mt", "depth/0002.npy", -FLOAT),
    "text depth": ("nyud_mt", "depth/0002.npy", FLOAT.astype(str)),
    "flat depth": ("nyud_mt", "depth/0002.npy", FLOAT.ravel()),
    "nan normals": ("nyud_mt", "normals/0002.npy", FLOAT[..., None].repeat(3, 2) * np.nan),
    "2-d normals": ("nyud_mt", "normals/0002.npy", FLOAT),
    "text normals": ("nyud_mt", "normals/0002.npy", FLOAT[..., None].repeat(3, 2).astype(str)),
    "colour edges": ("nyud_mt", "edge/0002.npy", FLOAT[..., None].repeat(3, 2)),
    "flat edges": ("nyud_mt", "edge/0002.npy", FLOAT.ravel()),
    "nan edges": ("nyud_mt", "edge/0002.npy", FLOAT * np.nan),
    "text edges": ("nyud_mt", "edge/0002.npy", FLOAT.astype(str)),
    "class 13": ("mtan", "train/label/2.npy", FLOAT * 13),
    "nan class": ("mtan", "train/label/2.npy", FLOAT * np.nan),
    "text class": ("mtan", "train/label/2.npy", FLOAT.astype(str)),
    "no class": ("mtan", "train/label/2.npy", np.float32(1)),
    "image 0..255": ("mtan", "train/image/2.npy", FLOAT[..., None].repeat(3, 2) * 255),
    "nan image": ("mtan", "train/image/2.npy", FLOAT[..., None].repeat(3, 2) * np.nan),
    "no image": ("mtan", "train/image/2.npy", np.zeros((0, 32, 3), np.float32)),
    "grey image": ("mtan", "train/image/2.npy", FLOAT),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values_are_a_data_error_that_names_the_file(case, tmp_path) -> None:
    layout, name, array = BAD_VALUES[case]
    WRITERS[layout](tmp_path)
    save(tmp_path / name, array)
    with pytest.raises(DataError, match=re.escape(name)):
        load_all(tmp_path, layout)


@pytest.mark.parametrize("folder", ["seg40", "depth", "normal", "edge", "rgb"])
def test_truncated_files_are_named(folder: str, tmp_path: pathlib.Path) -> None:
    write_pack(tmp_path)
    (path,) = (tmp_path / folder).glob("0002.*")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_all(tmp_path, "pack")


@pytest.mark.parametrize(
    ("writer", "name", "task"),
    [
        (write_pack, "seg40/0002.png", "semseg"),
        (write_pack, "depth/0002.png", "depth"),
        (write_nyud_mt, "depth/0002.npy", "depth"),
        (write_mtan, "train/label/2.npy", "semseg"),
    ],
)
def test_wrong_sizes_name_image_and_task(writer, name, task, tmp_path) -> None:
    writer(tmp_path)
    small = np.full((24, 31), 9)
    save(tmp_path / name, small.astype(np.uint8 if name.endswith("png") else np.float32))
    layout = next(key for key, value in WRITERS.items() if value is writer)
    with pytest.raises(DataError, match=rf"2.*{task}.*24x31.*24x32"):
        load_all(tmp_path, layout)


@pytest.mark.parametrize("layout", ["pack", "matlab"])
def test_a_split_without_images_is_a_data_error(layout: str, tmp_path: pathlib.Path) -> None:
    WRITERS[layout](tmp_path)
    (tmp_path / "ids.txt").write_text("0001")
    if layout == "matlab":
        splits = {"trainNdxs": np.zeros((0, 1)), "testNdxs": np.ones((1, 1))}
        scipy.io.savemat(tmp_path / "splits.mat", splits)
        (tmp_path / "ids.txt").unlink()
    with pytest.raises(DataError, match="train"):
        NYUDv2(tmp_path, ["depth"])


def rewrite(path: pathlib.Path, key: str, array: np.ndarray | None) -> None:
    with h5py.File(path, "r+") as archive:
        del archive[key]
        if array is not None:
            archive[key] = array


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("depths", None),
        ("images", None),
        ("depths", np.ones((1, 32, 24))),
        ("depths", np.full((4, 32, 24), np.nan)),
        ("labels", np.full((4, 32, 24), 895)),
        ("images", np.ones((4, 32, 24), np.uint8)),
        ("images", np.uint8(1)),
        ("labels", np.ones((4, 32, 24), np.float32)),
        ("labels", np.ones((4, 24, 32), np.uint16)),
    ],
)
def test_wrong_arrays_in_the_archive_are_a_data_error(key, array, tmp_path) -> None:
    WRITERS["matlab"](tmp_path)
    rewrite(tmp_path / "nyu_depth_v2_labeled.mat", key, array)
    with pytest.raises(DataError):
        load_all(tmp_path, "matlab")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("splits", {"other": [1]}),
        ("splits", {"trainNdxs": [2], "testNdxs": [0]}),
        ("classMapping40", {"other": [1]}),
        ("classMapping40", {"mapClass": np.full(894, 77)}),
    ],
)
def test_wrong_matlab_files_are_a_data_error(name, content, tmp_path) -> None:
    WRITERS["matlab"](tmp_path)
    scipy.io.savemat(tmp_path / f"{name}.mat", content)
    with pytest.raises(DataError, match=name):
        load_all(tmp_path, "matlab")
