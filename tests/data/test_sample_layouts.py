"""Real samples of layouts on people's disks: whole data sets, and what readers are made of."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import scipy.io

import mtl_tf as mtl
from mtl_tf.data import files, geometry


@pytest.fixture
def layouts(data_root: pathlib.Path) -> pathlib.Path:
    return data_root / "layouts"


@pytest.mark.filterwarnings("ignore:.*images")
@pytest.mark.parametrize(
    ("folder", "size"),
    [("nyud-mat", (480, 640)), ("NYUD_MT", (425, 560)), ("nyuv2-mtan", (288, 384))],
)
def test_nyud_at_its_three_sizes(
    layouts: pathlib.Path, tmp_path: pathlib.Path, folder: str, size: tuple[int, int]
) -> None:
    root = layouts / folder
    if folder == "nyud-mat":  # the lists name images of which the sample has four
        for path in root.iterdir():
            if path.is_file():
                (tmp_path / path.name).symlink_to(path)
        (tmp_path / "splits.mat").unlink()
        lists = {"trainNdxs": [[3], [4]], "testNdxs": [[1], [2]]}
        scipy.io.savemat(tmp_path / "splits.mat", lists)
        root = tmp_path
    data = mtl.data.NYUDv2(root, None, num_classes=13)
    assert data.input_shape == (*size, 3)
    for image_id in data.all_ids():
        sample = data.load(image_id)
        assert set(sample.targets) == {"semseg", "depth", "normals", "edges"}
        depth = sample.targets["depth"][sample.masks["depth"]]
        assert 0.5 < np.median(depth) < 8
        assert sample.masks["normals"].mean() > 0.5
        towards = sample.targets["normals"][sample.masks["normals"]][:, 2]
        assert (towards > 0).mean() > 0.9  # what is seen has its face to the camera


def test_bsds500_people_against_each_other(layouts: pathlib.Path) -> None:
    data = mtl.data.Bsds500(layouts / "BSDS500")
    assert {split: len(ids) for split, ids in data.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    for image_id in data.all_ids():
        people = data.annotations(image_id)
        assert 4 <= len(people) <= 9
        against_itself = mtl.metrics.edge_benchmark([(people[0] * 1.0, people[:1], None)])
        assert against_itself["ods_f"] == 1.0
    others = [(data.annotations(i)[0] * 1.0, data.annotations(i)[1:], None) for i in data.all_ids()]
    assert 0.65 < mtl.metrics.edge_benchmark(others)["ods_f"] < 0.95


def test_cityscapes_and_taskonomy(layouts: pathlib.Path) -> None:
    assert len(mtl.data.Cityscapes(layouts / "cityscapes", ["semseg"]).ids("train")) == 2
    subset = {"train": ["nyudstandin"], "val": ["nyudstandin"]}
    data = mtl.data.Taskonomy(layouts / "taskonomy", ["depth"], subset=subset)
    assert len(data.ids("train")) == 4


def test_palette_images_of_voc_hold_class_ids(layouts: pathlib.Path) -> None:
    """PASCAL-Context's `semseg/VOC12` holds files like these."""
    paths = sorted((layouts / "VOCdevkit" / "VOC2012" / "SegmentationClass").iterdir())
    for path in paths:
        codes = files.read_map(path)
        files.check_classes(codes, codes != 255, 21, path)
        photo = files.read_image(path.parent.parent / "JPEGImages" / f"{path.stem}.jpg")
        assert photo.shape[:2] == codes.shape and codes.any()
    assert len(paths) == 3


def test_camvid_maps(layouts: pathlib.Path) -> None:
    for path in sorted((layouts / "CamVid-segnet").glob("*annot/*.png")):
        codes = files.read_map(path)
        files.check_classes(codes, codes != 11, 11, path)
        assert files.read_image(path.parents[1] / path.parent.name[:-5] / path.name).shape == (
            360,
            480,
            3,
        )


def test_depth_of_16_bits(layouts: pathlib.Path) -> None:
    """Millimetres as they are (NYU in mmsegmentation), and with rotated bits (SUN RGB-D)."""
    millimetres = files.read_map_16(
        layouts / "nyu_dataset-mmseg" / "annotations" / "bookstore_0001d_00001.png"
    )
    assert 0.5 < np.median(millimetres[millimetres > 0]) / 1000 < 10
    folder = layouts / "sunrgbd" / "img_0063"
    codes = files.read_map_16(folder / "depth" / "img_0063_abs.png")
    depth = files.checked_depth(((codes >> 3) | (codes << 13)) / 1000, folder)
    numbers = np.loadtxt(folder / "intrinsics.txt").ravel()
    camera = geometry.Intrinsics(numbers[0], numbers[4], numbers[2], numbers[5])
    normals, valid = geometry.normals_from_depth(depth, camera)
    assert 0.5 < np.median(depth[depth > 0]) < 10 and valid.mean() > 0.5
    assert (normals[valid][:, 2] > 0).mean() > 0.95
