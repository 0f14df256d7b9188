"""Rendered rooms as a data set: contract, splits, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from mtl_tf.data import RenderedRooms
from mtl_tf.data.rendered_rooms.rendered_rooms import TASKS

SIZE = (24, 32, 3)


def make(**arguments) -> RenderedRooms:
    return RenderedRooms(**{"input_shape": SIZE, "train_size": 5, "val_size": 3} | arguments)


@pytest.mark.parametrize("tasks", [TASKS, ("depth",), ("saliency", "semseg")])
def test_samples_hold_the_tasks_asked_for(tasks: tuple[str, ...]) -> None:
    data = make(tasks=tasks)
    assert tuple(data.tasks) == tasks
    for image_id in data.ids("train"):
        sample = data.load(image_id)
        assert sample.image.shape == SIZE and sample.image.dtype == np.uint8
        assert tuple(sample.targets) == tuple(sample.masks) == tasks
        for task, target in sample.targets.items():
            classes = task in ("semseg", "human_parts")
            assert target.shape == (24, 32, 3 if task == "normals" else 1)
            assert target.dtype == (np.int32 if classes else np.float32)
            assert np.isfinite(target).all() and sample.masks[task].all()
            if classes:
                assert target.min() >= 0 and target.max() < data.tasks[task]
    if "semseg" in tasks:
        assert data.tasks["semseg"] == len(data.class_names)


def test_values_mean_what_the_contract_says() -> None:
    sample = make().load("0")
    assert np.isin(sample.targets["edges"], [0, 1]).all() and sample.targets["edges"].any()
    assert np.isin(sample.targets["saliency"], [0, 1]).all()
    assert sample.targets["depth"].min() > 0 and sample.targets["depth"].max() < 30
    normals = sample.targets["normals"]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    assert (normals[..., 2] > 0).mean() > 0.8
    assert len(np.unique(sample.targets["semseg"])) > 2


def test_batches_follow_the_contract() -> None:
    data = make(batch_size=2)
    for dataset, batches, last in [(data.train(), 2, 2), (data.val(), 2, 1), (data.test(), 3, 1)]:
        got = list(dataset)
        assert len(got) == int(dataset.cardinality()) == batches
        image, targets, masks = got[-1]
        assert image.shape == (last, *SIZE)
        assert list(targets) == list(masks) == list(data.tasks)


def test_splits_are_disjoint_in_ids_and_pictures() -> None:
    data = make(train_size=40, val_size=20)
    train, val = data.ids("train"), data.ids("val")
    assert len(set(train)) == 40 and len(set(val)) == 20 and not set(train) & set(val)
    assert data.ids("test") == val
    pictures = {data.load(i).image.tobytes() for i in train[:6] + val[:6]}
    assert len(pictures) == 12


def test_seed_and_number_alone_make_the_picture() -> None:
    first, again, other = make(), make(train_size=50, batch_size=3, tasks=("depth",)), make(seed=1)
    for image_id in ("0", "3", first.ids("val")[1]):
        a, b, c = (data.load(image_id) for data in (first, again, other))
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.targets["depth"], b.targets["depth"])
        assert (a.image != c.image).any()


def test_size_changes_the_sampling_not_the_scene() -> None:
    small = make(tasks=("depth",)).load("2").targets["depth"][..., 0]
    large = make(tasks=("depth",), input_shape=(72, 96, 3)).load("2").targets["depth"][..., 0]
    ratio = large[1::3, 1::3] / small
    assert abs(np.median(ratio) - 1) < 0.01
    assert (np.abs(ratio - 1) < 0.05).mean() > 0.9


def test_cached_epochs_equal_rendered_ones() -> None:
    plain, cached = (make(tasks=("depth",), batch_size=5, cache=c).train() for c in (False, True))
    for _ in range(2):
        (a,), (b,) = list(plain), list(cached)
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1]["depth"], b[1]["depth"])
