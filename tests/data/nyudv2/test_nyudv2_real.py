"""NYUDv2 on real images in all four layouts; skipped where the data is absent."""

from __future__ import annotations

import pathlib
import warnings

import numpy as np
import pytest

from mtl_tf.data import NYUDv2


def open_layout(data_root: pathlib.Path, name: str) -> NYUDv2:
    tasks = ["semseg", "depth", "edges"] + ["normals"] * (name != "nyud-mat")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*listed in splits.mat")
        root = data_root / "layouts" / name
        return NYUDv2(root, tasks, num_classes=13 if name == "nyuv2-mtan" else 40)


def test_pack_has_the_published_split_and_shares(data_root: pathlib.Path) -> None:
    data = NYUDv2(data_root / "nyud")
    train, val = data.ids("train"), data.ids("val")
    assert (len(train), len(val)) == (715, 80) and not set(train) & set(val)
    assert data.input_shape == (288, 384, 3)
    samples = [data.load(i) for i in train[::36]]
    masks, targets = (
        {task: np.stack([getattr(s, part)[task] for s in samples]) for task in data.tasks}
        for part in ("masks", "targets")
    )
    assert masks["depth"].all()
    assert abs(masks["normals"].mean() - 0.938) < 0.03
    assert abs(1 - masks["edges"].mean() - 0.092) < 0.04
    assert abs(targets["edges"].mean() - 0.034) < 0.01
    assert 0.7 < masks["semseg"].mean() < 0.95
    assert targets["depth"].min() > 0.5 and 8 < targets["depth"].max() <= 10
    assert 2 < targets["depth"].mean() < 3.5
    assert len(np.unique(targets["semseg"])) > 30 and targets["semseg"].max() <= 39
    normals = targets["normals"][masks["normals"]]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    assert (normals[:, 2] > 0).mean() > 0.9


def test_floors_of_the_pack_point_up_and_ceilings_down(data_root: pathlib.Path) -> None:
    data = NYUDv2(data_root / "nyud", ["semseg", "normals"])
    up = {"floor": [], "ceiling": []}
    for image_id in data.ids("val")[::4]:
        sample = data.load(image_id)
        valid = sample.masks["semseg"] & sample.masks["normals"]
        for name, found in up.items():
            number = data.class_names.index(name)
            there = valid & (sample.targets["semseg"][..., 0] == number)
            found.extend(sample.targets["normals"][there][:, 1])
    assert np.median(up["floor"]) > 0.8
    assert np.median(up["ceiling"]) < 0


@pytest.mark.parametrize(
    ("name", "size", "train", "val"),
    [
        ("NYUD_MT", (425, 560), 2, 2),
        ("nyuv2-mtan", (288, 384), 1, 1),
        ("nyud-mat", (480, 640), 2, 2),
    ],
)
def test_layout_samples_are_sound(name, size, train, val, data_root: pathlib.Path) -> None:
    data = open_layout(data_root, name)
    assert data.input_shape == (*size, 3)
    assert (len(data.ids("train")), len(data.ids("val"))) == (train, val)
    for image_id in data.ids("train") + data.ids("val"):
        sample = data.load(image_id)
        assert sample.image.shape == (*size, 3) and 40 < sample.image.mean() < 200
        for task, mask in sample.masks.items():
            assert mask.mean() > 0.5, task
        depth = sample.targets["depth"][sample.masks["depth"]]
        assert depth.min() > 0.5 and depth.max() <= 10
        labels = sample.targets["semseg"][sample.masks["semseg"]]
        assert labels.max() < data.num_classes and len(np.unique(labels)) >= 4
        assert 0.0005 < sample.targets["edges"].mean() < 0.2
        if "normals" in sample.targets:
            normals = sample.targets["normals"][sample.masks["normals"]]
            np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-3)
            assert (normals[:, 2] > 0).mean() > 0.9


def test_matlab_sample_warns_of_the_images_it_lacks(data_root: pathlib.Path) -> None:
    with pytest.warns(UserWarning, match="holds 4 images; .* listed in splits.mat"):
        data = NYUDv2(data_root / "layouts" / "nyud-mat", ["depth"])
    assert data.ids("train") == ["0003", "0004"] and data.ids("val") == ["0001", "0002"]


@pytest.mark.parametrize("image_id", ["0001", "0002", "0003", "0004"])
def test_one_image_agrees_through_two_layouts(image_id: str, data_root: pathlib.Path) -> None:
    """NYUD_MT is the MATLAB archive's image without its rim: a crop at row 45, column 41."""
    mt, mat = (open_layout(data_root, n).load(image_id) for n in ("NYUD_MT", "nyud-mat"))
    rows, columns = slice(45, 45 + 425), slice(41, 41 + 560)
    cropped = mat.targets["depth"][rows, columns]
    np.testing.assert_allclose(mt.targets["depth"], cropped, rtol=1e-6)
    both = mt.masks["semseg"] & mat.masks["semseg"][rows, columns]
    same = mt.targets["semseg"] == mat.targets["semseg"][rows, columns]
    assert both.mean() > 0.5 and same[both].mean() > 0.9
    error = mt.image.astype(float) - mat.image[rows, columns]
    assert np.abs(error).mean() < 8
