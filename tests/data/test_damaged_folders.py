"""Random damage to any file of any data set: it loads soundly or is a DataError."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from mtl_tf import data
from mtl_tf.data.sample import Sample
from tests.helpers import nyud_folders, other_folders

TINY = {"train": ["allensville"], "val": ["darden"], "test": ["ihlen"]}


class Case(NamedTuple):
    """How a folder is written and opened, and which of its files are to be damaged."""

    write: Callable
    open: Callable
    files: list[str]


def nyud(layout: str) -> Callable:
    return lambda root: data.NYUDv2(root, None, num_classes=nyud_folders.CLASSES[layout])


CASES = {
    "pack": Case(
        nyud_folders.write_pack,
        nyud("pack"),
        [
            "ids.txt",
            "rgb/0002.jpg",
            "seg40/0002.png",
            "depth/0002.png",
            "normal/0002.jpg",
            "edge/0002.png",
        ],
    ),
    "nyud_mt": Case(
        nyud_folders.write_nyud_mt,
        nyud("nyud_mt"),
        [
            "gt_sets/train.txt",
            "images/0002.jpg",
            "segmentation/0002.png",
            "depth/0002.npy",
            "normals/0002.npy",
            "edge/0002.npy",
        ],
    ),
    "mtan": Case(
        nyud_folders.write_mtan,
        nyud("mtan"),
        [f"train/{kind}/1.npy" for kind in ("image", "label", "depth", "normal")],
    ),
    "matlab": Case(
        nyud_folders.write_matlab,
        nyud("matlab"),
        ["nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"],
    ),
    "bsds_sod": Case(
        other_folders.write_bsds_sod,
        lambda root: data.BsdsSod(root, None),
        ["ids.txt", "rgb/2.jpg", "edge/2.png", "saliency/2.png"],
    ),
    "bsds500": Case(
        other_folders.write_bsds500,
        lambda root: data.Bsds500(root, None),
        ["data/images/train/3.jpg", "data/groundTruth/train/3.mat"],
    ),
    "ccp": Case(
        other_folders.write_ccp,
        lambda root: data.ClothingCoParsing(root, None),
        ["ids.txt", "rgb/0002.jpg", "parts/0002.png"],
    ),
    "cityscapes": Case(
        other_folders.write_cityscapes,
        lambda root: data.Cityscapes(root, None),
        [
            f"{kind}/train/aachen/aachen_000001_000019_{name}"
            for kind, name in (
                ("leftImg8bit", "leftImg8bit.png"),
                ("gtFine", "gtFine_labelIds.png"),
                ("gtFine", "gtFine_instanceIds.png"),
                ("disparity", "disparity.png"),
                ("camera", "camera.json"),
            )
        ],
    ),
    "pascal_context": Case(
        other_folders.write_pascal_context,
        lambda root: data.PascalContext(root, None),
        [
            "ImageSets/Context/train.txt",
            "JPEGImages/2008_000002.jpg",
            "semseg/VOC12/2008_000001.png",
            "pascal-context/trainval/2008_000002.mat",
            "human_parts/2008_000002.mat",
            "normals_distill/2008_000002.png",
            "sal_distill/2008_000002.png",
        ],
    ),
    "taskonomy": Case(
        other_folders.write_taskonomy,
        lambda root: data.Taskonomy(root, None, subset=TINY),
        [
            f"{domain}/allensville/point_1_view_1_domain_{domain}.png"
            for domain in other_folders.TASKONOMY_DOMAINS.values()
        ],
    ),
}
FILES = [(name, file) for name, case in CASES.items() for file in case.files]
ROUNDS = 12


def damaged(intact: bytes, generator: np.random.Generator) -> bytes:
    """Flipped bytes, half of them in the header; or the end cut off; or zeros."""
    broken = bytearray(intact)
    kind = generator.integers(6)
    if kind == 0:
        return bytes(broken[: generator.integers(len(broken))])
    reach = min(len(broken), 128) if kind < 4 else len(broken)
    for position in generator.integers(0, reach, generator.integers(1, 5)):
        broken[position] ^= int(generator.integers(1, 256))
    return bytes(broken)


def assert_sound(sample: Sample, tasks: dict[str, int]) -> None:
    height, width, _ = sample.image.shape
    assert set(sample.targets) == set(tasks)
    for task, target in sample.targets.items():
        mask = sample.masks[task]
        is_classes = task in ("semseg", "human_parts")
        assert target.shape == (height, width, 1 if is_classes else tasks[task])
        assert mask.shape == (height, width) and np.isfinite(target).all()
        if is_classes:
            assert target.min() >= 0 and target.max() < tasks[task]
        elif task in ("depth", "keypoints"):
            assert target.min() >= 0
        elif task == "normals":
            np.testing.assert_allclose(np.linalg.norm(target[mask], axis=-1), 1, atol=1e-3)
        elif task in ("edges", "saliency"):
            assert np.isin(target, [0, 1]).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "file"), FILES)
def test_damage_is_refused_or_harmless(name: str, file: str, tmp_path: pathlib.Path) -> None:
    case = CASES[name]
    case.write(tmp_path, count=3)
    path = tmp_path / file
    intact = path.read_bytes()
    failures = []
    for seed in range(ROUNDS):
        path.write_bytes(damaged(intact, np.random.default_rng(seed)))
        try:
            opened = case.open(tmp_path)
            for image_id in opened.all_ids():
                assert_sound(opened.load(image_id), opened.tasks)
        except data.DataError as error:
            assert str(error)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {str(error)[:150]}")
    assert not failures, f"{path}:\n" + "\n".join(failures)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "file"), FILES)
def test_what_stands_in_for_a_file_is_told(name: str, file: str, tmp_path: pathlib.Path) -> None:
    """Nothing, a folder, a link to itself, an empty file."""
    case = CASES[name]
    case.write(tmp_path, count=3)
    path = tmp_path / file

    def assert_told() -> None:
        with pytest.raises(data.DataError) as caught:
            opened = case.open(tmp_path)
            for image_id in opened.all_ids():
                opened.load(image_id)
        assert path.name in str(caught.value) or path.parent.name in str(caught.value)

    path.write_bytes(b"")
    assert_told()
    path.unlink()
    if not any(
        name in file for name in ("_domain_rgb", "_leftImg8bit", "/image/", "/images/train/3")
    ):
        assert_told()
    path.symlink_to(path.name)
    assert_told()
    path.unlink()
    path.mkdir()
    assert_told()
