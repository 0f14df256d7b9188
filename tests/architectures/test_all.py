"""What every architecture of the table must do."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, batch, small_model

NAMES = sorted(mtl.architectures.TABLE)


def make(name, **kwargs):
    tasks = {"depth": 1} if name == "single_task" else TASKS
    arguments = {"head": "conv", "output_stride": 32, **kwargs}
    return mtl.architectures.TABLE[name].cls("resnet18", tasks, (32, 64, 3), **arguments), tasks


@pytest.mark.parametrize("name", NAMES)
def test_outputs_by_task_at_input_size_for_any_batch_size(name):
    model, tasks = make(name)
    for size in (1, 3):
        outputs = model(batch(size=size)[0])
        assert {t: tuple(o.shape) for t, o in outputs.items()} == {
            t: (size, 32, 64, c) for t, c in tasks.items()
        }


@pytest.mark.parametrize("name", NAMES)
def test_saved_model_reloads_with_the_same_outputs(name, tmp_path):
    model, _ = make(name)
    image = batch()[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    for task, output in model(image).items():
        np.testing.assert_array_equal(output, again(image)[task])


def test_a_backbone_given_as_a_model_is_saved_too(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    image = batch()[0]
    np.testing.assert_array_equal(model(image)["depth"], again(image)["depth"])


def test_reloads_in_a_fresh_process_that_only_imports_the_package(tmp_path):
    small_model({"depth": 1}).save(tmp_path / "model.keras")
    code = "import sys, keras, mtl_tf; print(keras.saving.load_model(sys.argv[1]).name)"
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "shared_trunk", done.stderr


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride_sets_the_resolution_of_the_last_stage(output_stride):
    pyramid = mtl.backbones.build("resnet18", (64, 96, 3), output_stride).output
    strides = [64 // f.shape[1] for f in pyramid]
    assert strides == [4, 8, min(16, output_stride), output_stride]


def test_tasks_may_be_task_objects():
    tasks = [mtl.TASKS["depth"], mtl.TASKS["normals"]]
    model = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3), head="conv")
    assert {t: o.shape[-1] for t, o in model.output.items()} == {"depth": 1, "normals": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet19"}, "resnet18"),
        ({"input_shape": (33, 64, 3)}, "multiples of 8"),
        ({"input_shape": (32, 64)}, "height, width, 3"),
        ({"head": "fancy"}, "deeplab"),
        ({"output_stride": 4}, "8, 16 or 32"),
        ({"tasks": {}}, "at least one task"),
        ({"tasks": {"depth": 0}}, "at least one"),
        ({"tasks": ["depth"]}, "channels"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    good = {"backbone": "resnet18", "tasks": {"depth": 1}, "input_shape": (32, 64, 3)}
    with pytest.raises(ValueError, match=message):
        mtl.architectures.SharedTrunk(**{**good, **arguments})


def test_single_task_has_one_task():
    with pytest.raises(ValueError, match="exactly one task"):
        mtl.architectures.SingleTask("resnet18", {"depth": 1, "edges": 1}, (32, 32, 3))
