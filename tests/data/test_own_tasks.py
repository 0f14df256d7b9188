"""Data sets with tasks of one's own: what a target is decides, never what it is called."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.data.transforms import flip, resize, zoom_and_rotate
from mtl_tf.targets import TargetKind, kind_of
from tests.helpers import own_tasks
from tests.helpers.own_tasks import ALL, IMAGE_LEVEL, KINDS, MAPS, SIZE, TASKS, OwnData, target

SAME = {  # a task the library knows, of the same kind and channels
    "lidar": "depth",
    "facing": "normals",
    "cracks": "edges",
    "road": "saliency",
    "vehicle_parts": "human_parts",
    "nyu/depth": "depth",
    "flow": "principal_curvature",
    "heat": "keypoints",
}


def sample_of(task, name, size=SIZE):
    kind = KINDS[task]
    values = target(task, 3, size).astype(kind.dtype)
    values = values[..., None] if values.ndim == 2 else values
    valid = np.ones(size, bool)
    valid[2:4] = False
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    values = np.where(valid[..., None], values, 0).astype(kind.dtype)
    return mtl.data.Sample(image, {name: values}, {name: valid}, {name: kind})


@pytest.mark.parametrize("task", TASKS)
def test_the_kind_follows_from_metrics_and_loss(task):
    assert TASKS[task].kind is KINDS[task]


@pytest.mark.parametrize("task", MAPS)
@pytest.mark.parametrize(
    "change",
    [
        flip,
        lambda sample: zoom_and_rotate(sample, *SIZE, factor=1.5),
        lambda sample: zoom_and_rotate(sample, *SIZE, angle_deg=30.0, position=(0.2, 0.9)),
        lambda sample: resize(sample, 8, 12),
        lambda sample: resize(sample, 32, 36),
    ],
    ids=["flip", "zoom", "rotate", "shrink", "enlarge"],
)
def test_a_transform_acts_as_on_the_known_task_of_that_kind(task, change):
    own, known = (change(sample_of(task, name)) for name in (task, SAME[task]))
    np.testing.assert_array_equal(own.targets[task], known.targets[SAME[task]])
    np.testing.assert_array_equal(own.masks[task], known.masks[SAME[task]])
    assert own.kind(task) is KINDS[task]


def test_zoom_divides_own_distances_and_rotation_turns_own_directions():
    lidar = zoom_and_rotate(sample_of("lidar", "lidar"), *SIZE, factor=2.0)
    before = sample_of("lidar", "lidar").targets["lidar"]
    assert lidar.targets["lidar"].max() <= before.max() / 2
    heat = zoom_and_rotate(sample_of("heat", "heat"), *SIZE, factor=2.0)
    assert np.isin(heat.targets["heat"], [0, *sample_of("heat", "heat").targets["heat"].flat]).all()
    image, valid = np.zeros((*SIZE, 3), np.uint8), np.ones(SIZE, bool)
    right = np.tile(np.array([1, 0, 0], np.float32), (*SIZE, 1))
    kinds = {"facing": TargetKind.DIRECTION}
    sample = mtl.data.Sample(image, {"facing": right}, {"facing": valid}, kinds)
    turned = zoom_and_rotate(sample, *SIZE, angle_deg=90.0).targets["facing"][8, 12]
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-5)
    np.testing.assert_array_equal(flip(sample).targets["facing"], -right)


@pytest.mark.parametrize("task", IMAGE_LEVEL)
def test_targets_of_whole_images_stay_as_they_are(task):
    data = OwnData([task], augmentation=mtl.data.Augmentation(rotation_deg=20.0))
    sample = mtl.data.sample.checked_sample(data.load("0"), data.specs, "0")
    for change in (flip, lambda s: resize(s, 8, 8), lambda s: zoom_and_rotate(s, 8, 8, 1.4, 9.0)):
        changed = change(sample)
        np.testing.assert_array_equal(changed.targets[task], sample.targets[task])
        assert changed.masks[task]


@pytest.mark.parametrize("task", TASKS)
def test_batches_have_the_dtype_and_shape_of_the_kind(task):
    spec = TASKS[task]
    data = OwnData([task], augmentation=mtl.data.Augmentation(zoom=(0.8, 1.3), rotation_deg=10.0))
    channels = 1 if spec.kind is TargetKind.CLASSES else spec.channels
    size = () if task in IMAGE_LEVEL else SIZE
    for batches in (data.train(), data.val(), data.test()):
        image, targets, masks = next(iter(batches))
        assert targets[task].dtype == spec.kind.dtype
        assert targets[task].shape[1:] == (*size, channels)
        assert masks[task].shape == (len(image), *size)
        valid = targets[task].numpy()[masks[task].numpy() > 0]
        assert spec.kind.problem(valid, np.ones(valid.shape[:-1], bool), spec.channels) is None
        if size:
            assert masks[task].numpy().min() == 0 < masks[task].numpy().max()


@pytest.mark.parametrize("cache", [False, True])
def test_every_epoch_of_all_tasks_is_reproducible(cache):
    first, second = (list(OwnData(cache=cache).train()) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        for one, two in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("names", [["heat"], ["scene", "facing"], list(TASKS)])
def test_packed_data_set_is_the_same(names, tmp_path):
    data = OwnData(names, augmentation=mtl.data.Augmentation(flip=True))
    mtl.data.pack(data, tmp_path / "packed")
    packed = mtl.data.PackedDataset(tmp_path / "packed", batch_size=4)
    assert packed.specs == data.specs
    for split in ("train", "val", "test"):
        ours, theirs = (getattr(d, split)() for d in (data, packed))
        for a, b in zip(ours, theirs, strict=True):
            for one, two in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
                np.testing.assert_array_equal(one, two)
    mtl.data.unpack(tmp_path / "packed", tmp_path / "plain")
    for name in names:
        folder = tmp_path / "plain" / name.replace("/", "_")
        assert len(list(folder.iterdir())) == 11


def test_a_stream_of_packed_files_has_all_tasks(tmp_path):
    mtl.data.pack(OwnData(), tmp_path / "packed")
    packed = mtl.data.PackedDataset(tmp_path / "packed", batch_size=3)
    _, targets, masks = next(iter(packed.stream("val")))
    assert set(targets) == set(masks) == set(TASKS)
    np.testing.assert_array_equal(
        targets["scene"][:, 0], [target("scene", i) for i in (100, 101, 102)]
    )


@pytest.mark.parametrize("pair", [("lidar", "heat"), ("scene", "facing"), ("nyu/depth", "road")])
def test_union_leaves_out_what_an_image_has_not(pair):
    both = mtl.data.union([OwnData([name], number=4) for name in pair], batch_size=8)
    assert {t: s.kind for t, s in both.specs.items()} == {name: KINDS[name] for name in pair}
    image, targets, masks = next(iter(both.train()))
    has = np.stack([masks[name].numpy().reshape(len(image), -1).max(1) > 0 for name in pair])
    np.testing.assert_array_equal(has.sum(0), 1)
    for i, name in enumerate(pair):
        assert not targets[name].numpy()[~has[i]].any()


def test_union_tells_two_kinds_of_one_name_apart():
    class Other(OwnData):
        def __init__(self):
            mtl.data.DenseDataset.__init__(
                self,
                None,
                [dataclasses.replace(TASKS["lidar"], kind=TargetKind.VALUES)],
                {"train": ["0"], "val": ["1"]},
                (*SIZE, 3),
            )

    with pytest.raises(ValueError, match="disagree on what 'lidar' is"):
        mtl.data.union([OwnData(["lidar"]), Other()], batch_size=2).train()


def test_a_target_that_a_member_of_a_union_forgot_is_told():
    class Forgetful(OwnData):
        def load(self, image_id):
            sample = super().load(image_id)
            return dataclasses.replace(sample, targets={"heat": sample.targets["heat"]})

    both = mtl.data.union([Forgetful(["heat", "lidar"]), OwnData(["road"])], batch_size=2)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"DataError.*0:100: load returned no target for task .*lidar",
    ):
        list(both.val())


def test_names_and_channels_alone_do_too():
    """`{task: channels}`: whole numbers are class ids, others values; one channel is no classes."""

    class Named(OwnData):
        def __init__(self, **options):
            available = {"vehicle_parts": 5, "heat": 1, "road": 1, "count": 1, "scene": 4}
            splits = {"train": ["0", "1"], "val": ["2"]}
            mtl.data.DenseDataset.__init__(self, None, available, splits, (*SIZE, 3), batch_size=2)

        def load(self, image_id):
            image = np.zeros((*SIZE, 3), np.uint8)
            names = ("vehicle_parts", "heat", "road", "scene")
            targets = {task: target(task, int(image_id)) for task in names}
            targets["count"] = np.full(SIZE, 200, np.uint8)
            return mtl.data.Sample(image, targets, {})

    data = Named()
    kinds = {task: spec.kind.value for task, spec in data.specs.items()}
    assert kinds == {
        "vehicle_parts": "classes",
        "heat": "values",
        "road": "values",
        "count": "values",
        "scene": "classes",
    }
    _, targets, _ = next(iter(data.train()))
    assert targets["count"].dtype == tf.float32
    assert targets["scene"].shape == (2, 1)


def test_a_known_name_given_as_a_task_is_looked_at():
    """Key points as coordinates of a whole image, under the name of the heat map."""
    points = dataclasses.replace(mtl.TASKS["keypoints"], channels=34)

    class People(OwnData):
        def __init__(self):
            splits = {"train": ["0", "1"], "val": ["2"]}
            mtl.data.DenseDataset.__init__(self, None, [points], splits, (*SIZE, 3), batch_size=2)

        def load(self, image_id):
            return mtl.data.Sample(np.zeros((*SIZE, 3), np.uint8), {"keypoints": np.zeros(34)}, {})

    assert next(iter(People().train()))[1]["keypoints"].shape == (2, 34)


@pytest.mark.parametrize("name", ["image", "id"])
def test_names_that_records_need_are_refused(name):
    class Reconstruction(OwnData):
        def __init__(self):
            splits = {"train": ["0"], "val": ["1"]}
            mtl.data.DenseDataset.__init__(self, None, {name: 3}, splits, (*SIZE, 3))

    with pytest.raises(ValueError, match=f"cannot be called '{name}': rename"):
        Reconstruction()


def test_files_of_a_task_with_a_slash_are_looked_for(tmp_path):
    class OnDisk(OwnData):
        def paths(self, image_id):
            return {"nyu/depth": tmp_path / f"{image_id}.npy", "heat": tmp_path / "no"}

    with pytest.raises(mtl.data.DataError, match=r"\.npy"):
        OnDisk(["nyu/depth"])


def test_kind_of_a_name_or_an_example():
    assert kind_of("depth", np.zeros(3, int)) is TargetKind.DISTANCE
    assert kind_of("parts", np.zeros(3, np.uint8)) is TargetKind.CLASSES
    assert kind_of("parts", np.zeros(3, np.uint8), channels=1) is TargetKind.VALUES
    assert kind_of("parts") is TargetKind.VALUES


def test_the_case_of_three_class_tasks():
    parts = TASKS["vehicle_parts"]
    tasks = [dataclasses.replace(parts, name=f"parts{n}", channels=n) for n in (3, 5, 12)]

    class Vehicles(mtl.data.DenseDataset):
        def __init__(self, **options):
            splits = {"train": ["0", "1", "2", "3"], "val": ["4"]}
            channels = {task.name: task.channels for task in tasks}
            super().__init__(None, channels, splits, (*SIZE, 3), **options)

        def load(self, image_id):
            r = np.random.default_rng(int(image_id))
            image = r.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            labels = {t.name: r.integers(0, t.channels, (*SIZE, 1)).astype(np.int32) for t in tasks}
            return mtl.data.Sample(image, labels, {t.name: np.ones(SIZE, bool) for t in tasks})

    data = Vehicles(batch_size=2)
    made = own_tasks.trainer(tasks)
    history = made.fit(data.train(), verbose=0).history
    assert all(math.isfinite(history[f"{task.name}_loss"][0]) for task in tasks)
    assert set(ALL).isdisjoint(tasks)
