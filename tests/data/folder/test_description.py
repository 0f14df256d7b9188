"""`data.yaml`: what it may say, and errors that name the entry."""

import dataclasses

import keras
import pytest

import mtl_tf as mtl
from mtl_tf.data.folder.description import Label, checked_description, read_description
from mtl_tf.data.folder.tasks import task_of
from mtl_tf.task_config import task_config, tasks_from_config
from tests.helpers.cell_folder import DESCRIPTION

DEPTH = {"files": "*.npy", "encoding": "m"}
IDS = {"files": "*.png", "encoding": "class ids", "num_classes": 2}


def described(**values):
    return checked_description({"images": "*.jpg", "tasks": {"depth": DEPTH}, **values}, "x.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image": "*.jpg"}, "  image: unknown"),
        ({"images": "photo.jpg"}, r"  images.files: needs a \*"),
        ({"images": "*_{annotator}.jpg"}, "annotator} is for labels"),
        ({"tasks": {}}, "  tasks: needs at least one task"),
        ({"tasks": {"depth": {**DEPTH, "encoding": "metres"}}}, "must end in one of class ids, "),
        ({"tasks": {"depth": {**DEPTH, "kind": "classes"}}}, "'m' is of distance, and kind is"),
        ({"tasks": {"depth": {**DEPTH, "num_classes": 3}}}, "num_classes is not for the encoding"),
        ({"tasks": {"depth": {**DEPTH, "files": "*/*.npy"}}}, "2 wildcards and images .* has 1"),
        ({"tasks": {"depth": {**DEPTH, "files": "{split}/*.npy"}}}, "must be in images too"),
        ({"tasks": {"depth": {**DEPTH, "threshold": 3}}}, "threshold is not for the encoding 'm'"),
        ({"tasks": {"a": {**IDS, "invalid": 0}}}, "invalid is not for .* use ignore"),
        ({"tasks": {"depth": {**DEPTH, "ignore": 0}}}, "ignore is not for .* use invalid"),
        ({"tasks": {"a": {**IDS, "ignore": [[0, 0, 0]]}}}, "ignore must hold ids"),
        ({"tasks": {"a": {"files": "*.png", "encoding": "class colours", "ignore": 255,
                          "classes": {"x": [0, 0, 0]}}}}, r"colours, \[\[r, g, b\], ...\]"),
        ({"tasks": {"a": {"files": "*.png", "encoding": "class colours",
                          "classes": {"x": [0, 0, 0], "y": [0, 0, 0]}}}}, "different colours"),
        ({"tasks": {"a": {**IDS, "classes": [False, True]}}}, "YAML reads False as no text"),
        ({"tasks": {"depth": {**DEPTH, "files": "{split}/{split}/*.npy"}}}, "once"),
        ({"images": {"files": "*.jpg", "range": [5, 5]}}, "black and a larger one"),
        ({"splits": {"val": "10%"}}, "write the share as a number such as 0.1"),
        ({"splits": {"train": ["a"], "val": ["b"]}}, "the name of a file with a list"),
        ({"splits": {"train": 800, "val": 200}}, "give a share such as 0.1"),
        ({"tasks": {"depth": {**DEPTH, "unit": "m"}}}, "  tasks.depth.unit: unknown"),
        ({"tasks": {"a": {"files": "*.png", "encoding": "class ids"}}}, "num_classes is missing"),
        ({"tasks": {"a": {**IDS, "classes": ["x"]}}}, "num_classes is 2, and classes has 1 names"),
        ({"tasks": {"a": {**IDS, "colours": [[1, 2, 3]]}}}, "1 entries for 2 classes"),
        ({"tasks": {"a": {**IDS, "encoding": "class colours"}}}, r"classes: \{name: \[r, g, b\]\}"),
        ({"tasks": {"a": {**DEPTH, "encoding": "vectors", "axes": ["up", "down", "left"]}}},
         "right or left, up or down"),
        ({"tasks": {"a": {**IDS, "metrics": "MeanIoU"}}}, "metrics and main_metric belong"),
        ({"splits": {"val": 0.2, "test": "a.txt"}}, "not a mixture"),
        ({"splits": {"train": 0.2}}, "shares for val and test only"),
        ({"splits": {"val": 0.5, "test": 0.5}}, "the rest is for training"),
        ({"splits": {"val": "a.txt"}}, "needs train and val"),
        ({"splits": {"dev": 0.5}}, "splits"),
        ({"splits": {"val": 1.5}}, "splits"),
        ({"images": "{split}/*.jpg", "splits": {"val": 0.1}}, "share is taken from train"),
        ({"input_size": [0, 3]}, "input_size"),
    ],
)  # fmt: skip
def test_errors_name_the_entry(values, message):
    with pytest.raises(ValueError, match=message) as raised:
        described(**values)
    assert str(raised.value).startswith("x.yaml is no description of a data set:\n  ")


def test_names_by_id_in_both_directions():
    by_id = Label(files="*.png", encoding="class ids", classes={7: "road", 8: "car"})
    by_name = Label(files="*.png", encoding="class ids", classes={"road": 7, "car": 8})
    assert by_id.classes == by_name.classes == {7: "road", 8: "car"}
    for ignore in (255, [255], [253, 254, 255], "others"):
        Label(files="*.png", encoding="class ids", num_classes=3, ignore=ignore)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"data.yaml is missing: .* mtl-tf data init"):
        read_description(tmp_path)
    (tmp_path / "data.yaml").write_text("images: [")
    with pytest.raises(ValueError, match=r"data.yaml is neither YAML nor JSON"):
        read_description(tmp_path)
    (tmp_path / "data.yaml").write_text("images: a\nimages: b\n")
    with pytest.raises(ValueError, match="is there twice"):
        read_description(tmp_path)


# === Tasks ===


def test_tasks_of_another_field():
    tasks = {n: task_of(n, Label(**d)) for n, d in DESCRIPTION["tasks"].items()}
    cells, distance, border = tasks.values()
    assert cells.class_names == ("background", "round", "long") and cells.channels == 3
    assert cells.class_colours[1] == (200, 0, 0)
    assert [t.kind.value for t in tasks.values()] == ["classes", "values", "boundary"]
    assert (distance.main_metric, border.main_metric) == ("abs_error", "f")
    (again,) = tasks_from_config([task_config(cells)])
    assert (again.name, again.class_colours) == ("cells", cells.class_colours)


def test_own_loss_and_metrics():
    label = Label(
        **IDS,
        loss={"SegmentationCrossEntropy": {"label_smoothing": 0.1}},
        metrics=["SegmentationMetrics"],
        main_metric="pixel_accuracy",
        higher_is_better=True,
    )
    task = task_of("cells", label)
    assert task.loss().label_smoothing == 0.1 and task.main_metric == "pixel_accuracy"
    (again,) = tasks_from_config([task_config(task)])
    assert again.loss().label_smoothing == 0.1 and again.new_metrics()[0].num_classes == 2
    huber = task_of("heat", Label(**DEPTH | {"encoding": "values"}, loss={"Huber": {"delta": 0.5}}))
    assert isinstance(huber.loss(), keras.losses.Huber)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("depth", IDS, "depth is the name of a task of distance, and its labels are of classes"),
        ("a", IDS | {"loss": "MyLoss"}, r"tasks.a: 'MyLoss' is no loss: use .*SegmentationCross"),
        ("a", IDS | {"loss": "Loss"}, "'Loss' is no loss"),
        ("a", IDS | {"loss": {"L1": {"x": 1}}}, "tasks.a: .*unexpected keyword"),
        ("a", IDS | {"metrics": "MeanIoU", "main_metric": "mean_io_u", "higher_is_better": True},
         "does not fit class ids"),
    ],
)  # fmt: skip
def test_what_makes_no_task(name, values, message):
    with pytest.raises(ValueError, match=message):
        task_of(name, Label(**values))


def test_colours_of_classes_are_checked():
    with pytest.raises(ValueError, match="three numbers of 0 to 255 for each of its 40 classes"):
        dataclasses.replace(mtl.TASKS["semseg"], class_colours=((1, 2, 3),))
