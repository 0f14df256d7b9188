"""Batches: contract, order, epochs, cache and remainders, on a tiny data set in memory."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.sample import DataError, Sample, make_sample
from mtl_tf.data.transforms import Augmentation, denormalise

TASKS = {"semseg": 5, "depth": 1, "normals": 3}
STILL = Augmentation(flip=False, zoom=(1.0,))
STRONG = Augmentation(zoom=(0.8,), random_position=True, rotation_deg=10, brightness=0.2)


class Tiny(DenseDataset):
    """Image `i` is constant in all but a corner: its colour and depth say which image it is."""

    def __init__(self, count=8, size=(6, 8), own_size=(12, 16), broken=None, **options):
        options = {"batch_size": 2, "augmentation": STILL} | options
        splits = {s: [f"{s}-{i}" for i in range(count)] for s in ("train", "val", "test")}
        super().__init__(TASKS, CHANNELS | TASKS, splits, (*size, 3), "abcde", **options)
        self.own_size, self.broken = own_size, broken
        self.loads: Counter[str] = Counter()

    def load(self, image_id: str) -> Sample:
        self.loads[image_id] += 1
        number = int(image_id.split("-")[1])
        if number == self.broken:
            raise DataError(f"folder/{image_id}.png is damaged")
        image = np.full((*self.own_size, 3), 10 * (number + 1), np.uint8)
        depth = np.full(self.own_size, number + 1.0)
        depth[:2, :2] = 0
        normals = np.broadcast_to([0, 0.6, 0.8], (*self.own_size, 3))
        labels = np.random.default_rng(number).integers(0, 5, self.own_size)
        targets = {"semseg": labels, "depth": depth, "normals": normals}
        return make_sample(image, targets, {"depth": depth > 0}, image_id)


def numbers(dataset: tf.data.Dataset) -> list[int]:
    """Which images the batches hold, in order."""
    images = np.concatenate([batch[0].numpy() for batch in dataset])
    return (denormalise(images)[:, -1, -1, 0] // 10 - 1).tolist()


def flat(dataset: tf.data.Dataset) -> list[np.ndarray]:
    return [array.numpy() for batch in dataset for array in tf.nest.flatten(batch)]


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def differ(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return any((x != y).any() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("split", "batch", "size"), [("train", 2, (6, 8)), ("val", 2, (6, 8)), ("test", 1, (12, 16))]
)
def test_batch_contract(split: str, batch: int, size: tuple[int, int]) -> None:
    data = Tiny(augmentation=STRONG)
    dataset = getattr(data, split)()
    assert [list(part) for part in dataset.element_spec[1:]] == [list(TASKS)] * 2
    for image, targets, masks in dataset:
        assert image.shape == (batch, 6, 8, 3) and image.dtype == tf.float32
        assert list(targets) == list(masks) == list(data.tasks)
        for task, target in targets.items():
            channels = 3 if task == "normals" else 1
            assert target.shape == (batch, *size, channels)
            assert target.dtype == (tf.int32 if task == "semseg" else tf.float32)
            assert masks[task].shape == (batch, *size) and masks[task].dtype == tf.float32
            mask = masks[task].numpy()
            assert np.isin(mask, [0, 1]).all() and mask.any()
            assert not target.numpy()[mask == 0].any()
        assert (masks["depth"].numpy() == 0).any()


def test_static_shapes_are_known() -> None:
    image, targets, masks = Tiny().train().element_spec
    assert image.shape == (2, 6, 8, 3)
    assert targets["normals"].shape == (2, 6, 8, 3) and masks["semseg"].shape == (2, 6, 8)


def test_test_batches_hold_targets_as_they_were_loaded() -> None:
    data = Tiny(count=3)
    for number, (image, targets, masks) in enumerate(data.test()):
        sample = data.load(f"test-{number}")
        assert image.shape == (1, 6, 8, 3)
        for task in TASKS:
            np.testing.assert_array_equal(targets[task][0], sample.targets[task])
            np.testing.assert_array_equal(masks[task][0], sample.masks[task])


def test_epochs_are_counted_reproducible_and_can_be_set() -> None:
    counted, announced = Tiny(augmentation=STRONG).train(), Tiny(augmentation=STRONG).train()
    epochs = [flat(counted) for _ in range(3)]
    assert all(differ(a, b) for a, b in itertools.combinations(epochs, 2))
    for epoch in (2, 0, 1, 1):
        announced.set_epoch(epoch)
        assert_same(flat(announced), epochs[epoch])


def test_order_changes_with_epoch_and_seed() -> None:
    dataset = Tiny(count=12).train()
    orders = [numbers(dataset) for _ in range(3)] + [numbers(Tiny(count=12, seed=1).train())]
    assert all(a != b for a, b in itertools.combinations([*orders, sorted(orders[0])], 2))


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_image_is_seen_once_per_epoch(cache: bool, workers: int) -> None:
    data = Tiny(cache=cache, num_workers=workers)
    dataset = data.train()
    for _ in range(3):
        assert sorted(numbers(dataset)) == list(range(8))
    assert set(data.loads.values()) == {1 if cache else 3} and len(data.loads) == 8


@pytest.mark.parametrize("own_size", [(6, 8), (12, 16), (60, 80)])
def test_cache_gives_the_same_batches_on_each_pass(own_size: tuple[int, int]) -> None:
    dataset = Tiny(own_size=own_size, cache=True, augmentation=STRONG).train()
    dataset.set_epoch(4)
    first = flat(dataset)
    assert_same(flat(dataset), first)


@pytest.mark.parametrize("split", ["val", "test"])
def test_cache_does_not_change_what_is_evaluated(split: str) -> None:
    plain, kept = (getattr(Tiny(own_size=(60, 80), cache=c), split)() for c in (False, True))
    assert_same(flat(kept), flat(plain))
    assert_same(flat(kept), flat(plain))


def test_number_of_workers_changes_nothing() -> None:
    one, four = (Tiny(augmentation=STRONG, num_workers=n).train() for n in (1, 4))
    assert_same(flat(one), flat(four))


@pytest.mark.parametrize(("count", "batch_size"), [(7, 3), (6, 3), (3, 3)])
def test_training_drops_the_remainder_and_validation_keeps_it(count: int, batch_size: int) -> None:
    data = Tiny(count=count, batch_size=batch_size)
    for dataset, total in [
        (data.train(), count // batch_size * batch_size),
        (data.val(), count),
        (data.test(), count),
        (data.batches("train"), count),
    ]:
        sizes = [batch[0].shape[0] for batch in dataset]
        assert sum(sizes) == total
        assert int(dataset.cardinality()) == len(sizes) == len(dataset)
    assert all(batch[0].shape[0] == batch_size for batch in data.train())


def test_evaluation_is_in_order_and_never_augmented() -> None:
    data = Tiny(count=5, augmentation=STRONG, own_size=(6, 8))
    for dataset in (data.val(), data.batches("train"), data.test()):
        for _ in range(2):
            assert numbers(dataset) == list(range(5))
        depth = np.concatenate([batch[1]["depth"].numpy() for batch in dataset])
        assert depth[:, -1, -1, 0].tolist() == [1, 2, 3, 4, 5]


def test_too_few_images_are_refused_clearly() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Tiny(count=2, batch_size=3).train()
    with pytest.raises(DataError, match="no image for train"):
        Tiny(count=0)


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="Tiny has no option 'batchsize'"):
        Tiny(batchsize=3)
    with pytest.raises(ValueError, match="batch_size"):
        Tiny(batch_size=0)
    assert Tiny(augmentation=None).options.augmentation == Augmentation()


def test_a_damaged_file_stops_the_iteration_and_is_named() -> None:
    with pytest.raises(Exception, match=r"folder/val-3\.png is damaged"):
        list(Tiny(broken=3).val())


def test_large_tensors_stay_cheap_after_a_pipeline_has_run():
    """The kernel of `from_generator` makes the C library give memory back at once.

    Every later tensor then costs a page fault for each of its pages, half the speed of training.
    """
    code = """
import resource
import tensorflow as tf
import mtl_tf as mtl

data = mtl.data.RenderedRooms(["depth"], input_shape=(32, 32, 3), train_size=8, val_size=1)
list(data.train())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    tf.zeros([1 << 20]) + 1.0
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * (1 << 22) / 4096 / 2
