"""Random damage to any file of any NYU layout: it loads soundly or is a DataError."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from mtl_tf.data import DataError, NYUDv2
from mtl_tf.data.sample import Sample
from tests.data.nyud_folders import CLASSES, TASKS, WRITERS

FILES = {
    "pack": ["ids.txt", "rgb/0002.jpg", "seg40/0002.png", "depth/0002.png", "normal/0002.jpg",
             "edge/0002.png"],
    "nyud_mt": ["gt_sets/train.txt", "images/0002.jpg", "segmentation/0002.png", "depth/0002.npy",
                "normals/0002.npy", "edge/0002.npy"],
    "mtan": [f"train/{kind}/1.npy" for kind in ("image", "label", "depth", "normal")],
    "matlab": ["nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"],
}  # fmt: skip
CASES = [(layout, name) for layout, names in FILES.items() for name in names]
ROUNDS = 40


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """Flipped bytes, half of them in the header; or the end cut off; or zeros."""
    broken = bytearray(data)
    kind = generator.integers(6)
    if kind == 0:
        return bytes(broken[: generator.integers(len(broken))])
    reach = min(len(broken), 128) if kind < 4 else len(broken)
    for position in generator.integers(0, reach, generator.integers(1, 5)):
        broken[position] ^= int(generator.integers(1, 256))
    return bytes(broken)


def assert_sound(sample: Sample, tasks: dict[str, int]) -> None:
    height, width, _ = sample.image.shape
    for task, target in sample.targets.items():
        mask = sample.masks[task]
        channels = 3 if task == "normals" else 1
        assert target.shape == (height, width, channels) and mask.shape == (height, width)
        assert np.isfinite(target).all()
        if task == "semseg":
            assert target.min() >= 0 and target.max() < tasks["semseg"]
        elif task == "depth":
            assert target.min() >= 0
        elif task == "normals":
            np.testing.assert_allclose(np.linalg.norm(target[mask], axis=-1), 1, atol=1e-3)
        else:
            assert np.isin(target, [0, 1]).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("layout", "name"), CASES)
def test_damage_is_refused_or_harmless(layout: str, name: str, tmp_path: pathlib.Path) -> None:
    WRITERS[layout](tmp_path, count=3)
    path = tmp_path / name
    intact = path.read_bytes()
    failures = []
    for seed in range(ROUNDS):
        path.write_bytes(damaged(intact, np.random.default_rng(seed)))
        try:
            data = NYUDv2(tmp_path, TASKS[layout], num_classes=CLASSES[layout])
            for image_id in data.ids("train") + data.ids("val"):
                assert_sound(data.load(image_id), data.tasks)
        except DataError as error:
            assert str(error)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {str(error)[:150]}")
    assert not failures, f"{path}:\n" + "\n".join(failures)
