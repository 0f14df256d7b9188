"""Tasks of one's own through `Predictor`, of networks that were saved without their trainer."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mtl_tf as mtl
from mtl_tf.deployment.predict import Output, Predictor, predict_files
from mtl_tf.evaluation.reporting.colours import class_colours
from tests.helpers.own_tasks import SIZE, TASKS, network

HEAT = dataclasses.replace(
    TASKS["heat"], colourise=lambda values: np.clip(np.repeat(values, 3, -1) * 255, 0, 255)
)
NAMES = ("wheel", "door", "roof", "window", "lamp")
PARTS = dataclasses.replace(TASKS["vehicle_parts"], class_names=NAMES)


def saved(tmp_path, tasks):
    model = network(tasks)
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def photo():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_a_regression_and_a_class_task_of_ones_own(tmp_path):
    model, path = saved(tmp_path, [HEAT, PARTS, mtl.TASKS["depth"]])
    predictor = Predictor(path, tasks=[HEAT, PARTS])
    assert sorted(task.name for task in predictor.tasks) == ["depth", "heat", "vehicle_parts"]
    pictures = predictor(photo()).pictures()
    outputs = model(mtl.data.normalise(photo())[None], training=False)
    ids = tf.argmax(outputs["vehicle_parts"][0], -1).numpy()
    np.testing.assert_array_equal(pictures["vehicle_parts"], class_colours(NAMES)[ids])
    grey = np.rint(np.clip(outputs["heat"][0].numpy() * 255, 0, 255)).astype(int)
    assert np.abs(pictures["heat"].astype(int) - grey).max() <= 1
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    written = predict_files(predictor, tmp_path / "photo.png", Output(tmp_path / "maps"))
    names = {path.name for path in written}
    assert names == {"photo_depth.png", "photo_heat.png", "photo_vehicle_parts.png"}


@pytest.mark.parametrize("tasks", [None, [HEAT]])
def test_outputs_without_a_task_are_named(tasks, tmp_path):
    _, path = saved(tmp_path, [HEAT, PARTS, mtl.TASKS["depth"]])
    with pytest.raises(ValueError, match=r"unknown tasks: \[.*'vehicle_parts'\].*tasks=\["):
        Predictor(path, tasks)


@pytest.mark.parametrize("task", [TASKS["flow"], dataclasses.replace(HEAT, channels=2)])
def test_a_task_without_its_output_is_refused(task, tmp_path):
    _, path = saved(tmp_path, [HEAT])
    with pytest.raises(ValueError, match=rf"no output '{task.name}' of 2 channels"):
        Predictor(path, [task])


def test_a_task_replaces_the_known_one(tmp_path):
    _, path = saved(tmp_path, [mtl.TASKS["depth"]])
    red = lambda values: np.full((*values.shape[:2], 3), (255, 0, 0))  # noqa: E731
    depth = dataclasses.replace(mtl.TASKS["depth"], colourise=red)
    pictures = Predictor(path, [depth])(photo()).pictures()
    assert (pictures["depth"] == (255, 0, 0)).all()


def test_initial_predictions_need_no_task(tmp_path):
    mtl.architectures.PADNet("resnet18", {"semseg": 3, "depth": 1}, (32, 64, 3)).save(
        tmp_path / "model.keras"
    )
    predictor = Predictor(tmp_path / "model.keras")
    assert [task.name for task in predictor.tasks] == ["semseg", "depth"]


def test_other_outputs_of_a_saved_trainer_are_left_out(tmp_path):
    model = network([TASKS["heat"], mtl.TASKS["depth"]])
    mtl.MultiTaskTrainer(model, [mtl.TASKS["depth"]]).save(tmp_path / "trainer.keras")
    assert list(Predictor(tmp_path / "trainer.keras")(photo()).pictures()) == ["depth"]
