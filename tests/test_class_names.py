"""Names of classes travel with their task: two tasks with equally many classes keep their own."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.class_names import class_names_by_task, class_names_config
from mtl_tf.deployment.predict import Predictor
from mtl_tf.evaluation.reporting.colours import class_colours
from mtl_tf.task_config import task_config, tasks_from_config
from mtl_tf.tasks import as_tasks, with_class_names

SIZE = (16, 24)
ROOM = ("wall", "floor", "bed")
CARS = ("wheel", "door", "lamp")
NAMES = {"semseg": ROOM, "vehicle_parts": CARS}
PARTS = dataclasses.replace(mtl.TASKS["human_parts"], name="vehicle_parts", channels=3)
AVAILABLE = [dataclasses.replace(mtl.TASKS["semseg"], channels=3), PARTS, mtl.TASKS["depth"]]


class TwoClassTasks(mtl.data.DenseDataset):
    def __init__(self, tasks=None, class_names=NAMES, available=AVAILABLE, **options):
        splits = {"train": ["0", "1"], "val": ["2"]}
        plain = mtl.data.Augmentation(flip=False, zoom=(1.0,))
        options = {"batch_size": 1, "augmentation": plain, **options}
        super().__init__(tasks, available, splits, (*SIZE, 3), class_names, **options)

    def load(self, image_id):
        generator = np.random.default_rng(int(image_id))
        image = generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        ids = generator.integers(0, 3, (*SIZE, 1), np.int32)
        targets = {"semseg": ids, "vehicle_parts": ids, "depth": np.ones((*SIZE, 1), np.float32)}
        return mtl.data.Sample(image, {task: targets[task] for task in self.tasks}, {})


def network(tasks):
    image = keras.Input((*SIZE, 3))
    outputs = {t.name: keras.layers.Conv2D(t.channels, 1)(image) for t in as_tasks(tasks)}
    return keras.Model(image, outputs)


def names_of(tasks):
    return {task.name: task.class_names for task in tasks if task.class_names}


# === Task ===


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        (PARTS, ("a", "b"), "one name for each of its 3 classes"),
        (PARTS, ("a", "b", "c\n"), "printable"),
        (PARTS, ("a", "b", " "), "printable"),
        (PARTS, "abc", "sequence of printable names"),
        (PARTS, (1, 2, 3), "printable"),
        (mtl.TASKS["depth"], ("a",), "distance, not classes"),
    ],
)
def test_names_that_do_not_fit_are_refused(task, names, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(task, class_names=names)


def test_names_are_in_the_config_and_old_configs_load():
    task = dataclasses.replace(PARTS, class_names=list(CARS))
    assert task.class_names == CARS
    config = json.loads(json.dumps(task_config(task)))
    (restored,) = tasks_from_config([config])
    assert restored == task
    del config["class_names"]
    (restored,) = tasks_from_config([config])
    assert restored == PARTS


def test_a_saved_trainer_knows_the_names(tmp_path):
    data = TwoClassTasks()
    trainer = mtl.MultiTaskTrainer(network(data.tasks), data.tasks)
    trainer.compile("sgd")
    trainer.fit(data.train(), epochs=1, verbose=0)
    trainer.save(tmp_path / "trainer.keras")
    restored = keras.saving.load_model(tmp_path / "trainer.keras")
    assert names_of(restored.tasks) == NAMES
    assert names_of(Predictor(tmp_path / "trainer.keras").tasks) == NAMES


# === Data sets ===


def test_a_mapping_gives_each_task_its_names():
    data = TwoClassTasks()
    assert data.tasks.class_names == names_of(as_tasks(data.tasks)) == NAMES
    assert data.class_names == ROOM
    assert TwoClassTasks(["depth"]).tasks.class_names == {}


def test_a_sequence_gives_all_tasks_with_that_many_classes_the_names():
    data = TwoClassTasks(class_names=list(ROOM))
    assert names_of(as_tasks(data.tasks)) == dict.fromkeys(NAMES, ROOM)
    assert data.class_names == ROOM
    assert TwoClassTasks(class_names=("a", "b")).tasks.class_names == {}


def test_names_of_task_objects_win():
    own = [AVAILABLE[0], dataclasses.replace(PARTS, class_names=CARS)]
    data = TwoClassTasks(class_names=ROOM, available=own)
    assert names_of(as_tasks(data.tasks)) == NAMES


@pytest.mark.parametrize("names", [{"depth": ["a"]}, {"normals": ROOM}])
def test_names_of_tasks_without_classes_are_refused(names):
    with pytest.raises(ValueError, match="class_names must be"):
        TwoClassTasks(class_names=names)


def test_other_names_are_other_data():
    prints = {
        TwoClassTasks(class_names=names).fingerprint()
        for names in (NAMES, {**NAMES, "vehicle_parts": ROOM}, ROOM[::-1])
    }
    assert len(prints) == 3
    assert TwoClassTasks(class_names=ROOM).fingerprint() in prints  # the same names, shorter


def test_a_union_keeps_the_names_of_each_task():
    room = TwoClassTasks(["semseg"], class_names=ROOM)
    cars = TwoClassTasks(["vehicle_parts"], class_names=CARS)
    both = mtl.data.union([room, cars])
    assert names_of(as_tasks(both.tasks)) == NAMES


@pytest.mark.parametrize("names", [NAMES, {"vehicle_parts": CARS}, ROOM, ()])
def test_a_packed_data_set_keeps_the_names_of_each_task(names, tmp_path):
    data = TwoClassTasks(class_names=names)
    mtl.data.pack(data, tmp_path / "packed")
    packed = mtl.data.PackedDataset(tmp_path / "packed")
    assert packed.tasks.class_names == data.tasks.class_names
    assert packed.class_names == data.class_names
    assert packed.fingerprint() == mtl.data.PackedDataset(tmp_path / "packed").fingerprint()


def test_packs_of_early_versions_have_one_list(tmp_path):
    mtl.data.pack(TwoClassTasks(["semseg", "depth"]), tmp_path / "packed")
    path = tmp_path / "packed" / "index.json"
    index = json.loads(path.read_text())
    for stored in index["targets"].values():
        del stored["class_names"]
    path.write_text(json.dumps(index))
    packed = mtl.data.PackedDataset(tmp_path / "packed")
    assert packed.tasks.class_names == {"semseg": ROOM}


@pytest.mark.parametrize("names", [["a"], ["a", "b", 3], ["a", "b", "\n"], "abc"])
def test_damaged_names_of_a_pack_are_refused(names, tmp_path):
    mtl.data.pack(TwoClassTasks(), tmp_path / "packed")
    path = tmp_path / "packed" / "index.json"
    index = json.loads(path.read_text())
    index["targets"]["semseg"]["class_names"] = names
    path.write_text(json.dumps(index))
    with pytest.raises(mtl.data.DataError, match=r"index\.json is damaged"):
        mtl.data.PackedDataset(tmp_path / "packed")


# === Pictures and reports ===


def test_the_report_has_a_legend_for_each_list(tmp_path):
    data = TwoClassTasks()
    image, targets, masks = next(iter(data.val()))
    outputs = network(data.tasks)(image)
    picture = {"image": mtl.data.denormalise(image[0].numpy())}
    parts = {"outputs": outputs, "targets": targets, "masks": masks}
    picture |= {key: {t: np.asarray(x[0]) for t, x in part.items()} for key, part in parts.items()}
    results = {t.name: {t.main_metric: 0.5} for t in as_tasks(data.tasks)}
    summary = {"results": results, "baseline": results, "history": []}
    page = mtl.evaluation.write_report(tmp_path, summary, [picture], data.tasks).read_text()
    assert page.count('class="legend"') == 2
    for name in (*ROOM, *CARS, "<b>semseg</b>", "<b>vehicle_parts</b>"):
        assert name in page
    shared = TwoClassTasks(class_names=ROOM)
    page = mtl.evaluation.write_report(tmp_path, summary, [picture], shared.tasks).read_text()
    assert page.count('class="legend"') == 1
    assert "<b>" not in page and "wheel" not in page


def test_colours_follow_the_names_of_the_task():
    semseg, parts, _ = as_tasks(TwoClassTasks().tasks)
    ids = np.array([[[0], [1], [2]]])
    for task in (semseg, parts):
        expected = class_colours(task.class_names)
        np.testing.assert_array_equal(mtl.evaluation.colourise(task, ids)[0], expected)
    assert (class_colours(ROOM) != class_colours(CARS)).any()


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        (NAMES, {"semseg": ROOM, "human_parts": ()}),
        ({"semseg": ROOM, "human_parts": CARS}, {"semseg": ROOM, "human_parts": CARS}),
        (ROOM, {"semseg": ROOM, "human_parts": ROOM}),
        (("a", "b"), {"semseg": (), "human_parts": ()}),
        ([], {"semseg": (), "human_parts": ()}),
    ],
)
def test_predictions_have_the_names_of_the_run(stored, names, tmp_path):
    network({"semseg": 3, "human_parts": 3}).save(tmp_path / "model.keras")
    (tmp_path / "classes.json").write_text(json.dumps(stored))
    predictor = Predictor(tmp_path / "model.keras")
    assert {task.name: task.class_names for task in predictor.tasks} == names
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    image = mtl.data.normalise(photo)[None]
    outputs = predictor.model(image, training=False)
    for task, picture in predictor(photo).pictures().items():
        if names[task]:
            ids = tf.argmax(outputs[task][0], -1).numpy()
            np.testing.assert_array_equal(picture, class_colours(names[task])[ids])


@pytest.mark.parametrize("stored", [{}, {"semseg": ["a"]}, {"semseg": "abc"}, {"semseg": [1]}, 3])
def test_damaged_names_of_a_run_are_refused(stored, tmp_path):
    network({"semseg": 3}).save(tmp_path / "model.keras")
    (tmp_path / "classes.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"classes\.json"):
        Predictor(tmp_path / "model.keras")


# === The form in files ===


@pytest.mark.parametrize(
    ("names", "stored"),
    [
        ({"a": ROOM}, list(ROOM)),
        ({"a": ROOM, "b": ROOM}, list(ROOM)),
        ({"a": ROOM, "b": CARS}, {"a": list(ROOM), "b": list(CARS)}),
        ({}, []),
    ],
)
def test_files_hold_one_list_where_it_is_enough(names, stored):
    classes = dict.fromkeys(names, 3) | {"c": 7}
    assert class_names_config(names, classes) == stored
    assert class_names_by_task(stored, classes) == names
    if names:  # another task with as many classes has no names
        assert class_names_config(names, classes | {"d": 3}).keys() == names.keys()


def test_names_of_a_task_stay():
    tasks = with_class_names(AVAILABLE, {"semseg": ROOM})
    tasks = with_class_names(tasks, CARS)
    assert names_of(tasks) == NAMES
