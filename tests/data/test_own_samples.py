"""Samples as users' `load` returns them: made what the data set promised, or a `DataError`."""

import dataclasses
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.data import DataError, Sample
from mtl_tf.data.sample import make_sample
from mtl_tf.targets import TargetKind
from tests.helpers.own_tasks import SIZE, TASKS, network, target

IMAGE = np.zeros((*SIZE, 3), np.uint8)
VALID = np.ones(SIZE, bool)


class Own(mtl.data.DenseDataset):
    """Gives out the same sample for every image; the second image of `val` is called `wrong`."""

    def __init__(self, task, sample, good=None):
        self.sample, self.good = sample, good
        self.name = task if isinstance(task, str) else task.name
        available = {task: 5 if task == "semseg" else 3 if task == "normals" else 1}
        available = available if isinstance(task, str) else [task]
        splits = {"train": ["good", "wrong"], "val": ["good", "wrong"]}
        super().__init__(None, available, splits, (*SIZE, 3), batch_size=2, num_workers=1)

    def load(self, image_id):
        return self.good if self.good is not None and image_id == "good" else self.sample


def unit(length=1.0):
    vectors = np.random.default_rng(0).normal(size=(*SIZE, 3))
    return length * vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def depth(**changes):
    values = np.linspace(1, 5, SIZE[0] * SIZE[1]).reshape(*SIZE, 1)
    fields = {"image": IMAGE, "targets": {"depth": values}, "masks": {"depth": VALID}}
    return Sample(**fields | changes)


def of(task, values, mask=VALID, **changes):
    return Sample(IMAGE, {task: values}, {} if mask is None else {task: mask}, **changes)


KINDS = {"depth": TargetKind.DISTANCE}


def told(batches):
    """What an iteration by hand ends with; TensorFlow writes quotes with a stroke before them."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="DataError") as caught:
        list(batches)
    return str(caught.value).replace("\\'", "'")


WORKS = {
    "no channel": of("depth", np.ones(SIZE, np.float32)),
    "float64": of("depth", np.ones((*SIZE, 1))),
    "float16": of("depth", np.ones((*SIZE, 1), np.float16)),
    "whole metres": of("depth", np.ones(SIZE, np.uint8)),
    "no mask": of("depth", np.ones(SIZE), None),
    "a mask of 0 and 1": of("depth", np.ones(SIZE), np.eye(*SIZE)),
    "NaN where invalid": of("depth", np.where(np.eye(*SIZE) > 0, 2.0, np.nan), np.eye(*SIZE) > 0),
    "a kind of its own": of("depth", np.ones(SIZE), None, kinds=KINDS),
    "a list": of("depth", np.ones(SIZE).tolist()),
    "labels of uint8": of("semseg", np.full(SIZE, 4, np.uint8)),
    "labels of int64": of("semseg", np.full((*SIZE, 1), 4)),
    "labels of float32": of("semseg", np.full(SIZE, 4, np.float32)),
    "255 where invalid": of("semseg", np.where(np.eye(*SIZE) > 0, 4, 255), np.eye(*SIZE) > 0),
    "normals": of("normals", unit()),
    "edges of bool": of("edges", np.eye(*SIZE) > 0),
    "made": make_sample(IMAGE, {"depth": np.ones(SIZE, np.float32)}, {}, "a"),
    "more than asked for": Sample(IMAGE, {"depth": np.ones(SIZE), "other": np.ones(3)}, {}),
}


def task_of(sample):
    return next(iter(sample.targets))


@pytest.mark.parametrize("name", WORKS)
def test_what_works(name):
    data = Own(task_of(WORKS[name]), WORKS[name])
    spec = data.specs[data.name]
    for batches in (data.train(), data.val(), data.test()):
        image, targets, masks = next(iter(batches))
        found, mask = targets[data.name].numpy(), masks[data.name].numpy()
        assert found.dtype == spec.kind.dtype
        assert found.shape == (len(image), *SIZE, spec.target_channels)
        assert mask.dtype == np.float32
        assert np.isfinite(found).all()
        assert not found[mask == 0].any()


WRONG = {
    "no target": (Sample(IMAGE, {}, {}), "no target for task 'depth', only"),
    "no sample": ((IMAGE, {}, {}), "must return a Sample. Received: tuple"),
    "a grey image": (depth(image=IMAGE[..., 0]), r"RGB \[H, W, 3\] uint8. Received: \[16, 24\]"),
    "an image of floats": (depth(image=IMAGE / 1.0), "RGB .*float64"),
    "RGBA": (depth(image=np.zeros((*SIZE, 4), np.uint8)), "RGB"),
    "no pixels": (depth(image=IMAGE[:0]), "RGB"),
    "a tensor": (depth(image=tf.zeros((*SIZE, 3), tf.uint8)), "RGB .*EagerTensor"),
    "another size": (of("depth", np.ones((8, 8, 1))), "depth target is 8x8, the image is 16x24"),
    "turned": (of("depth", np.ones(SIZE[::-1])), "24x16"),
    "channels": (of("depth", np.ones((*SIZE, 3))), r"'depth' must be \[16, 24, 1\] float32"),
    "channels in front": (of("depth", np.ones((1, *SIZE))), "one size"),
    "texts": (of("depth", np.full(SIZE, "a")), "'depth' must be"),
    "nothing": (of("depth", None), "'depth' must be"),
    "complex": (of("depth", np.ones(SIZE) * 1j), "'depth' must be .*complex"),
    "a mask of another size": (of("depth", np.ones(SIZE), VALID[:8]), "validity mask of .*'depth'"),
    "a mask with a channel": (of("depth", np.ones(SIZE), VALID[..., None]), "validity mask"),
    "a mask of 255": (of("depth", np.ones(SIZE), 255 * VALID), "validity mask.*values up to 255"),
    "a mask of -1": (of("depth", np.ones(SIZE), -1 * VALID), "validity mask"),
    "a mask of halves": (of("depth", np.ones(SIZE), VALID / 2), "validity mask"),
    "a mask of NaN": (of("depth", np.ones(SIZE), VALID * np.nan), "validity mask"),
    "millimetres": (of("depth", np.full(SIZE, 2000, np.uint16)), "'depth' has the value 2000.*by"),
    "negative": (of("depth", np.full(SIZE, -1.0)), r"'depth' has the value -1.0 \(384 times\)"),
    "NaN": (of("depth", np.full(SIZE, np.nan), None), "'depth' has the value nan"),
    "infinity": (of("depth", np.full(SIZE, np.inf)), "'depth' has the value inf"),
    "a kind hides no shape": (of("depth", np.ones((*SIZE, 2)), None, kinds=KINDS), "'depth' must"),
    "a kind hides no dtype": (of("depth", np.full(SIZE, "a"), None, kinds=KINDS), "'depth' must"),
    "made of millimetres": (
        make_sample(IMAGE, {"depth": np.full(SIZE, 2000.0)}, {}, "a"),
        "divide millimetres",
    ),
    "made of colours": (
        make_sample(IMAGE, {"normals": np.full((*SIZE, 3), 128.0)}, {}, "a"),
        "decode colours",
    ),
    "255": (of("semseg", np.full(SIZE, 255)), "'semseg' has the value 255 .*0..4"),
    "-1": (of("semseg", np.full(SIZE, -1)), "'semseg' has the value -1"),
    "from 1 on": (of("semseg", np.full(SIZE, 5)), "'semseg' has the value 5"),
    "halves of classes": (of("semseg", np.full(SIZE, 0.5)), "'semseg' needs whole class ids"),
    "one-hot": (of("semseg", np.eye(5)[np.zeros(SIZE, int)]), "argmax"),
    "colours": (of("normals", unit() * 127.5 + 127.5), "'normals' .*decode colours"),
    "colours by kind": (
        of("normals", unit() * 127.5 + 127.5, kinds={"normals": TargetKind.DIRECTION}),
        "decode colours",
    ),
    "no normal": (of("normals", 0 * unit()), "squared length 0"),
    "two components": (of("normals", unit()[..., :2]), r"'normals' must be \[16, 24, 3\]"),
    "edges of 255": (of("edges", 255 * np.eye(*SIZE)), "'edges' has the value 255.*by 255"),
}


def task_of_wrong(name):
    sample = WRONG[name][0]
    return task_of(sample) if isinstance(sample, Sample) and sample.targets else "depth"


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_work_names_image_and_task(name):
    sample, message = WRONG[name]
    task = task_of_wrong(name)
    data = Own(task, sample)
    data.good = make_sample(IMAGE, GOOD, {}, "good")
    for batches in (data.train(), data.val(), data.batches("val")):
        assert re.search(f"wrong: .*{message}", told(batches))
    with pytest.raises(DataError, match=f"^wrong: .*{message}"):
        mtl.data.sample.checked_sample(sample, data.specs, "wrong")


GOOD = {
    "depth": np.ones(SIZE, np.float32),
    "semseg": np.zeros(SIZE, np.int32),
    "normals": unit().astype(np.float32),
    "edges": np.zeros(SIZE, np.float32),
}


@pytest.mark.parametrize("name", ["channels", "a mask of 255", "millimetres", "255", "colours"])
def test_fit_and_evaluate_raise_the_very_error(name, tmp_path):
    sample, message = WRONG[name]
    task = task_of_wrong(name)
    data = Own(task, sample)
    data.good = make_sample(IMAGE, GOOD, {}, "good")
    known = mtl.tasks.as_tasks(data.tasks)
    made = mtl.MultiTaskTrainer(network(known), known)
    made.compile("sgd", metrics={task: []}, run_eagerly=True)
    calls = [
        lambda: made.fit(data.train(), verbose=0),
        lambda: made.evaluate(data.val(), verbose=0),
        lambda: mtl.evaluation.evaluate(made, data.val(), known),
        lambda: mtl.evaluation.trivial_baseline(data.val(), data.val(), known, data.val()),
        lambda: mtl.data.pack(data, tmp_path),
    ]
    for call in calls:
        with pytest.raises(DataError, match=f"^wrong: .*{message}"):
            call()


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("scene", 4, "'scene' has the value 4"),
        ("scene", -1, "'scene' has the value -1"),
        ("scene", np.zeros(2, int), r"'scene' must be \[1\] int32"),
        ("scene", np.eye(4)[0], "argmax"),
        ("pose", np.zeros(5), r"'pose' must be \[6\] float32"),
        ("pose", np.full(6, np.nan), "'pose' has the value nan.*finite"),
        ("facing", unit() * 127.5 + 127.5, "decode colours"),
        ("lidar", np.full(SIZE, 2000.0), "divide millimetres"),
        ("heat", np.full(SIZE, np.inf), "'heat' has the value inf"),
        ("cracks", np.full(SIZE, 255), "by 255"),
        ("vehicle_parts", np.full(SIZE, 5), "'vehicle_parts' has the value 5"),
        ("flow", np.zeros((*SIZE, 1)), r"'flow' must be \[16, 24, 2\].*give the data set the"),
    ],
)
def test_own_tasks_are_checked_by_kind(task, values, message):
    good = Sample(IMAGE, {task: target(task, 0)}, {})
    data = Own(TASKS[task], Sample(IMAGE, {task: values}, {}), good)
    assert re.search(f"wrong: .*{message}", told(data.val()))


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("scene", 3),
        ("scene", np.int64(3)),
        ("scene", np.array([3])),
        ("scene", 3.0),
        ("pose", list(range(6))),
        ("pose", np.arange(6)),
    ],
)
@pytest.mark.parametrize("mask", [None, True, np.True_, np.array(True), 1])
def test_labels_of_whole_images(task, values, mask):
    masks = {} if mask is None else {task: mask}
    data = Own(TASKS[task], Sample(IMAGE, {task: values}, masks))
    _, targets, valid = next(iter(data.train()))
    np.testing.assert_array_equal(targets[task][0], np.reshape(values, -1))
    np.testing.assert_array_equal(valid[task], [1, 1])


def test_a_whole_image_without_a_label():
    data = Own(TASKS["scene"], Sample(IMAGE, {"scene": 255}, {"scene": False}))
    _, targets, valid = next(iter(data.train()))
    np.testing.assert_array_equal(valid["scene"], [0, 0])
    np.testing.assert_array_equal(targets["scene"], [[0], [0]])


def test_class_ids_of_floats_under_a_name_of_ones_own_say_what_to_do():
    class Parts(Own):
        def __init__(self):
            self.sample, self.good = of("parts", np.zeros(SIZE, np.float32)), None
            mtl.data.DenseDataset.__init__(
                self, None, {"parts": 7}, {"train": ["a"], "val": ["b"]}, (*SIZE, 3)
            )

    assert "if they are class ids, make them int32, or give" in told(Parts().val())


def test_the_first_sample_of_tasks_of_ones_own_is_checked_too():
    with pytest.raises(DataError, match=r"^good: load must return a Sample\. Received: tuple"):
        Own(TASKS["heat"], (IMAGE, {}, {})).train()


def test_a_changed_sample_is_still_one_of_the_library():
    sample = make_sample(IMAGE, {"depth": np.ones(SIZE, np.float32)}, {}, "a")
    assert dataclasses.replace(sample, image=IMAGE + 1).is_made
    assert not Sample(IMAGE, {}, {}).is_made
    assert keras.backend.backend() == "tensorflow"
