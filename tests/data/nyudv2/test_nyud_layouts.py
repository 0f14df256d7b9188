"""Decoding of the four NYU layouts: each written with known values and read back."""

from __future__ import annotations

import pathlib

import h5py
import numpy as np
import pytest
import scipy.io

from mtl_tf.data import NYUDv2
from mtl_tf.data.borders import borders
from mtl_tf.data.nyudv2.classes import CLASS_40_TO_13
from mtl_tf.data.sample import Sample
from tests.helpers.nyud_folders import (
    CLASSES,
    HEIGHT,
    TASKS,
    WIDTH,
    WRITERS,
    class_map,
    save,
    write_mtan,
    write_nyud_mt,
    write_pack,
)


def check_classes(sample: Sample, classes: np.ndarray, known: np.ndarray) -> None:
    np.testing.assert_array_equal(sample.masks["semseg"], known)
    expected = np.where(known, classes, 0)
    np.testing.assert_array_equal(sample.targets["semseg"][..., 0], expected)
    assert known.any() and not known.all()


def check_depth(sample: Sample, metres: np.ndarray) -> None:
    np.testing.assert_allclose(sample.targets["depth"][..., 0], metres, rtol=1e-6)
    np.testing.assert_array_equal(sample.masks["depth"], metres > 0)


def check_normals(sample: Sample, normals: np.ndarray, tolerance: float) -> None:
    known = np.linalg.norm(normals, axis=-1) > 0
    np.testing.assert_array_equal(sample.masks["normals"], known)
    got = sample.targets["normals"]
    np.testing.assert_allclose(got, normals, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(got[known], axis=-1), 1, atol=1e-6)


def check_pack(sample: Sample, written: dict) -> None:
    np.testing.assert_allclose(sample.image.astype(int), written["image"], atol=3)
    check_classes(sample, written["semseg"], written["semseg"] != 255)
    check_depth(sample, (written["depth"] + 0.5) * 9.99547 / 255)
    check_normals(sample, written["normals"], 0.02)
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], written["edges"] == 255)
    np.testing.assert_array_equal(sample.masks["edges"], written["edges"] != 128)


def check_nyud_mt(sample: Sample, written: dict) -> None:
    np.testing.assert_allclose(sample.image.astype(int), written["image"], atol=3)
    check_classes(sample, written["semseg"].astype(int) - 1, written["semseg"] > 0)
    check_depth(sample, written["depth"])
    check_normals(sample, written["normals"], 1e-3)
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], written["edges"])
    assert sample.masks["edges"].all()


def check_mtan(sample: Sample, written: dict) -> None:
    np.testing.assert_array_equal(sample.image, written["image"])
    known = written["semseg"] >= 0
    check_classes(sample, written["semseg"], known)
    check_depth(sample, written["depth"])
    check_normals(sample, written["normals"], 1e-6)
    expected = borders(written["semseg"], known)
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], expected * known)
    np.testing.assert_array_equal(sample.masks["edges"], known)


def check_matlab(sample: Sample, written: dict) -> None:
    np.testing.assert_array_equal(sample.image, written["image"])
    raw = written["semseg"].astype(int)
    classes = np.concatenate([[255], class_map().astype(int) - 1])[raw]
    check_classes(sample, classes, raw > 0)
    check_depth(sample, written["depth"])
    expected = borders(classes, classes != 255)
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], expected * (raw > 0))
    np.testing.assert_array_equal(sample.masks["edges"], raw > 0)


CHECKS = {"pack": check_pack, "nyud_mt": check_nyud_mt, "mtan": check_mtan, "matlab": check_matlab}


@pytest.mark.parametrize("layout", WRITERS)
def test_written_values_come_back(layout: str, tmp_path: pathlib.Path) -> None:
    truth = WRITERS[layout](tmp_path)
    data = NYUDv2(tmp_path, TASKS, num_classes=CLASSES[layout])
    assert data.input_shape == (HEIGHT, WIDTH, 3)
    assert len(data.class_names) == data.tasks["semseg"] == CLASSES[layout]
    ids = list(truth)
    val = [ids[-1]] if layout == "mtan" else [ids[0]]
    assert data.ids("val") == data.ids("test") == val
    assert data.ids("train") == [i for i in ids if i not in val]
    for image_id, written in truth.items():
        sample = data.load(image_id)
        assert tuple(sample.targets) == tuple(sample.masks) == TASKS
        CHECKS[layout](sample, written)


@pytest.mark.parametrize("layout", WRITERS)
def test_tasks_are_read_alone_and_in_any_order(layout: str, tmp_path: pathlib.Path) -> None:
    WRITERS[layout](tmp_path)
    whole = NYUDv2(tmp_path, TASKS, num_classes=CLASSES[layout])
    first = whole.ids("train")[0]
    expected = whole.load(first)
    for tasks in [*[(task,) for task in TASKS], TASKS[::-1]]:
        sample = NYUDv2(tmp_path, tasks, num_classes=CLASSES[layout]).load(first)
        assert tuple(sample.targets) == tasks
        for task in tasks:
            np.testing.assert_array_equal(sample.targets[task], expected.targets[task])
            np.testing.assert_array_equal(sample.masks[task], expected.masks[task])


@pytest.mark.parametrize("layout", ["pack", "nyud_mt", "matlab"])
def test_13_classes_are_groups_of_the_40(layout: str, tmp_path: pathlib.Path) -> None:
    WRITERS[layout](tmp_path)
    fine, coarse = (NYUDv2(tmp_path, ["semseg"], num_classes=n) for n in (40, 13))
    assert coarse.tasks == {"semseg": 13} and len(coarse.class_names) == 13
    a, b = (data.load(fine.ids("train")[0]) for data in (fine, coarse))
    mask = a.masks["semseg"]
    np.testing.assert_array_equal(b.masks["semseg"], mask)
    expected = np.where(mask, CLASS_40_TO_13[a.targets["semseg"][..., 0]], 0)
    np.testing.assert_array_equal(b.targets["semseg"][..., 0], expected)


@pytest.mark.parametrize(("val_every", "val"), [(10, [1, 11, 21]), (2, range(1, 24, 2)), (23, [1])])
def test_every_nth_id_of_the_pack_is_for_validation(val_every, val, tmp_path) -> None:
    write_pack(tmp_path, count=23)
    data = NYUDv2(tmp_path, val_every=val_every)
    assert data.ids("val") == [f"{i:04d}" for i in val]
    assert data.ids("train") == [f"{i:04d}" for i in range(1, 24) if i not in list(val)]


def test_mtan_images_are_ordered_by_number(tmp_path: pathlib.Path) -> None:
    write_mtan(tmp_path, count=12)
    ids = NYUDv2(tmp_path, num_classes=13).ids("train")
    assert ids == [f"train/{i}" for i in range(1, 12)]


def test_nyud_mt_takes_png_in_place_of_numpy(tmp_path: pathlib.Path) -> None:
    truth = write_nyud_mt(tmp_path)
    written = truth["0002"]
    for folder in ("edge", "normals"):
        (tmp_path / folder / "0002.npy").unlink()
    save(tmp_path / "edge" / "0002.png", written["edges"] * 255)
    codes = np.rint((written["normals"] + 1) / 2 * 255).astype(np.uint8)
    save(tmp_path / "normals" / "0002.png", codes)
    sample = NYUDv2(tmp_path).load("0002")
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], written["edges"])
    check_normals(sample, written["normals"], 0.01)


def test_matlab_takes_the_archive_and_the_other_class_map(tmp_path: pathlib.Path) -> None:
    WRITERS["matlab"](tmp_path)
    archive = tmp_path / "nyu_depth_v2_labeled.mat"
    expected = NYUDv2(archive, ["semseg"]).load("0001").targets["semseg"]
    (tmp_path / "classMapping40.mat").unlink()
    other = {"mapping": class_map()[:, None]}
    scipy.io.savemat(tmp_path / "nyuv2_40class_mapping.mat", other)
    got = NYUDv2(tmp_path, ["semseg"]).load("0001").targets["semseg"]
    np.testing.assert_array_equal(got, expected)


def test_matlab_splits_leave_out_images_that_are_not_there(tmp_path: pathlib.Path) -> None:
    WRITERS["matlab"](tmp_path)
    splits = {"trainNdxs": np.uint16([[4], [2], [99]]), "testNdxs": np.uint16([[1], [3]])}
    scipy.io.savemat(tmp_path / "splits.mat", splits)
    with pytest.warns(UserWarning, match="4 images; train has 2 of the 3"):
        data = NYUDv2(tmp_path, ["depth"])
    assert data.ids("train") == ["0004", "0002"] and data.ids("val") == ["0001", "0003"]


def test_matlab_axes_are_those_of_hdf5(tmp_path: pathlib.Path) -> None:
    """A pixel marked by hand at row 5, column 20 of image 2 in all three arrays."""
    WRITERS["matlab"](tmp_path)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as archive:
        archive["images"][1, :, 20, 5] = [10, 20, 30]
        archive["depths"][1, 20, 5] = 7.5
        archive["labels"][1, 20, 5] = 894
    sample = NYUDv2(tmp_path, ["semseg", "depth"]).load("0002")
    assert sample.image[5, 20].tolist() == [10, 20, 30]
    assert sample.targets["depth"][5, 20] == 7.5
    assert sample.targets["semseg"][5, 20] == class_map()[-1] - 1
