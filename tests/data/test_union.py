"""Several data sets as one: which images come, and what is valid in them."""

import pathlib

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.nyud_folders import write_pack
from tests.helpers.other_folders import write_bsds_sod, write_ccp


@pytest.fixture
def parts(tmp_path: pathlib.Path) -> list[mtl.data.DenseDataset]:
    write_pack(tmp_path / "nyud", 10)
    write_bsds_sod(tmp_path / "bsds", 4)
    write_ccp(tmp_path / "ccp", 6)
    plain = mtl.data.Augmentation(flip=False, zoom=(1.0,))
    options = {"val_every": 2, "input_shape": (24, 32, 3), "augmentation": plain}
    return [
        mtl.data.NYUDv2(tmp_path / "nyud", **options),
        mtl.data.BsdsSod(tmp_path / "bsds", **options),
        mtl.data.ClothingCoParsing(tmp_path / "ccp", **options),
    ]


def owners(data: mtl.data.UnionDataset, epochs: int = 1) -> np.ndarray:
    ids = data.ids("train")
    generator = np.random.default_rng(0)
    orders = [data.epoch_order(ids, generator) for _ in range(epochs)]
    return np.array([[int(ids[p].split(":")[0]) for p in order] for order in orders])


def test_all_tasks_and_all_images(parts: list) -> None:
    data = mtl.data.union(parts)
    assert data.tasks == {
        "semseg": 40,
        "depth": 1,
        "normals": 3,
        "edges": 1,
        "saliency": 1,
        "human_parts": 8,
    }
    assert len(data.ids("train")) == 10 and len(data.ids("val")) == 10
    assert data.input_shape == (24, 32, 3) and data.class_names[0] == "wall"


def test_absent_labels_are_invalid_and_the_others_untouched(parts: list) -> None:
    data = mtl.data.union(parts)
    sample, alone = data.load("1:2"), parts[1].load("2")
    assert sample.targets.keys() == sample.masks.keys() == data.tasks.keys()
    for task in data.tasks:
        if task in alone.targets:
            np.testing.assert_array_equal(sample.targets[task], alone.targets[task])
            np.testing.assert_array_equal(sample.masks[task], alone.masks[task])
        else:
            assert not sample.masks[task].any() and not sample.targets[task].any()


def test_balanced_epochs_have_as_many_of_each(parts: list) -> None:
    data = mtl.data.union(parts)
    counts = [np.bincount(epoch, minlength=3) for epoch in owners(data, 20)]
    assert all(sorted(c) == [3, 3, 4] for c in counts)


def test_proportional_epochs_have_every_image_once(parts: list) -> None:
    data = mtl.data.union(parts, sampling="proportional")
    order = data.epoch_order(data.ids("train"), np.random.default_rng(0))
    assert sorted(order) == list(range(10))
    assert np.bincount(owners(data)[0]).tolist() == [5, 2, 3]


def test_small_sets_are_repeated_evenly(parts: list) -> None:
    data = mtl.data.union([parts[1], *[parts[0]] * 2])
    ids = data.ids("train")
    order = data.epoch_order(ids, np.random.default_rng(0))
    seen = [ids[p] for p in order if ids[p].startswith("0:")]
    assert len(seen) == 4 and {seen.count(i) for i in set(seen)} == {2}


def test_batches_train_a_model_without_nan(parts: list) -> None:
    data = mtl.data.union(parts, batch_size=2)
    image, targets, masks = next(iter(data.train()))
    assert image.shape == (2, 24, 32, 3)
    assert targets["human_parts"].shape == (2, 24, 32, 1) and targets["normals"].shape[-1] == 3
    for task, target in targets.items():
        invalid = masks[task].numpy() == 0
        assert not target.numpy()[invalid].any()


def test_disagreement_is_told(parts: list, tmp_path: pathlib.Path) -> None:
    other = mtl.data.NYUDv2(tmp_path / "nyud", num_classes=13)
    with pytest.raises(ValueError, match="'semseg': 40 and 13"):
        mtl.data.union([parts[0], other])
    with pytest.raises(ValueError, match="at least one"):
        mtl.data.union([])
    with pytest.raises(ValueError, match="balanced"):
        mtl.data.union(parts, sampling="fair")
