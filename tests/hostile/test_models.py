"""Model files from anywhere: each attack on a `.keras` file, and what must come of it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import pytest

import mtl_tf as mtl
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.task_config import known_classes
from tests.helpers.inputs import dataset, tiny_trainer
from tests.hostile.outcome import MARKUP

OWNED = "owned_by_a_model.txt"
"""What the code in the files would write into the working folder."""
CODE = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "registered_name": None,
    "config": {
        "name": "code",
        "function": {
            "class_name": "__lambda__",
            "config": {"code": "4wAAAAA=", "defaults": None, "closure": None},
        },
    },
}
SAVED_MODEL = {
    "module": "keras.layers",
    "class_name": "TFSMLayer",
    "registered_name": None,
    "config": {"filepath": "/nowhere", "call_endpoint": "serve"},
}
READS_A_FILE = {
    "module": "keras.layers",
    "class_name": "StringLookup",
    "registered_name": None,
    "config": {"vocabulary": "/etc/passwd"},
}
POPEN = {
    "module": "subprocess",
    "class_name": "Popen",
    "registered_name": "Popen",
    "config": {"args": ["touch", OWNED]},
}
SYSTEM = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
EVAL = SYSTEM | {"module": "builtins", "config": "eval", "registered_name": "eval"}
SHELL = {"module": "os", "class_name": "system", "registered_name": "system", "config": {}}


@pytest.fixture(autouse=True)
def _no_code_has_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / OWNED).exists()


@pytest.fixture(scope="module")
def trainer_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("trainer") / "trainer.keras"
    made = tiny_trainer()
    made.fit(dataset({"depth": 1, "normals": 3}, 4, height=8, width=8), verbose=0)
    made.save(path)
    return path


def rewritten(
    source: pathlib.Path,
    path: pathlib.Path,
    change: Callable[[Any], Any] = lambda _: None,
    **members: bytes,
) -> pathlib.Path:
    """A model file with another configuration, or other members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = members.pop(name, None) or old.read(name)
            if name == "config.json":
                config = json.loads(content)
                content = json.dumps(change(config) or config).encode()
            new.writestr(name, content)
        for name, content in members.items():
            new.writestr(name, content)
    return path


# === Code ===


def with_lambda(path: pathlib.Path) -> None:
    """A network whose `Lambda` layer writes a file."""
    image = keras.Input((32, 64, 3))
    layer = keras.layers.Lambda(
        lambda x: (open("owned_by_a_model.txt", "w").close(), x[..., :1])[1]  # noqa: PTH123
    )
    keras.Model(image, {"depth": layer(image)}).save(path)
    pathlib.Path(OWNED).unlink()


@pytest.mark.parametrize("name", ["evaluate", "predict", "export"])
def test_code_is_refused_by_every_command(name, tmp_path, command):
    with_lambda(tmp_path / "model.keras")
    config = {"tasks": ["depth"], "height": 32, "width": 64, "train_size": 2, "val_size": 1}
    (tmp_path / "config.json").write_text(json.dumps(config | {"batch_size": 1}))
    (tmp_path / "a.jpg").write_bytes(b"")
    arguments = {
        "evaluate": (tmp_path,),
        "predict": ("a.jpg", "--model", "model.keras"),
        "export": ("model.keras", "model.onnx"),
    }[name]
    outcome = command(name, *arguments)
    outcome.assert_refused("holds code that loading it would run: refused, for Keras' safe mode")
    assert "Lambda" in outcome.err and not (tmp_path / "model.onnx").exists()


def test_code_in_a_trainer_is_refused(tmp_path):
    with_lambda(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        network = json.loads(archive.read("config.json"))
    made = tiny_trainer(tasks=("depth",))
    made.fit(dataset({"depth": 1}, 4, height=8, width=8), verbose=0)
    made.save(tmp_path / "good.keras")
    path = rewritten(
        tmp_path / "good.keras", tmp_path / "bad.keras", lambda c: c["config"].update(model=network)
    )
    with pytest.raises(ValueError, match=r"Lambda.*safe_mode"):
        keras.saving.load_model(path)


TRAINERS = {
    "the trainer is a program": (lambda c: c.update(POPEN), "Popen"),
    "the model is a program": (lambda c: c["config"].update(model=POPEN), "Popen"),
    "the model is os.system": (lambda c: c["config"].update(model=SYSTEM), "system"),
    "the model is eval": (lambda c: c["config"].update(model=EVAL), "eval"),
    "the model is a SavedModel": (lambda c: c["config"].update(model=SAVED_MODEL), "TFSMLayer"),
    "the optimizer is a program": (lambda c: c["compile_config"].update(optimizer=POPEN), "Popen"),
    "the balancing is code": (lambda c: c["compile_config"].update(balancing=CODE), "safe_mode"),
    "the balancing is os.system": (lambda c: c["compile_config"].update(balancing=SHELL), "system"),
    "a layer reads a file": (
        lambda c: c["config"]["model"]["config"]["layers"].insert(
            1, READS_A_FILE | {"inbound_nodes": [], "name": "x"}
        ),
        ".",
    ),
    "no dictionary": (lambda c: [1, 2], "."),
    "nested 100000 deep": (lambda c: json.loads("[" * 400 + "]" * 400), "."),
}


@pytest.mark.parametrize("attack", TRAINERS)
def test_a_trainer_makes_only_what_keras_can(attack, trainer_path, tmp_path, command, monkeypatch):
    change, message = TRAINERS[attack]
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a command"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program"))
    path = rewritten(trainer_path, tmp_path / "bad.keras", change)
    with pytest.raises(Exception, match=message):
        keras.saving.load_model(path)
    (tmp_path / "a.jpg").write_bytes(b"")
    outcome = command("predict", "a.jpg", "--model", path)
    if attack.startswith(("the optimizer", "the balancing")):  # which nothing but training reads
        assert outcome.code == 1 and "a.jpg" in outcome.err
    else:
        outcome.assert_refused("bad.keras")


LOSSES = {
    "os.system": {"class": "system", "module": "os"},
    "a program": {"class": "Popen", "module": "subprocess"},
    "a class of another kind": {"class": "Path", "module": "pathlib"},
    "a class of a module not imported": {"class": "Antigravity", "module": "antigravity"},
    "a function as an object": {"made": SYSTEM},
    "eval as an object": {"made": EVAL},
    "a program as an object": {"made": POPEN},
    "os.system as a class": {"made": SHELL},
    "code as an object": {"made": CODE},
    "an unknown task": {"task": "../../evil"},
    "nothing": {},
    "a number": 7,
    "numbers": {"made": [1, 2]},
}


@pytest.mark.parametrize("attack", LOSSES)
@pytest.mark.parametrize("field", ["loss", "metrics"])
def test_a_task_makes_only_losses_and_metrics(attack, field, trainer_path, tmp_path, monkeypatch):
    def change(config: Any) -> None:
        config["config"]["tasks"][0][field] = LOSSES[attack]
        arguments = config["compile_config"]
        arguments.pop("metrics", None)  # which would replace those of the task

    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a command"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program"))
    path = rewritten(trainer_path, tmp_path / "bad.keras", change)
    with pytest.raises(Exception, match=r"."):
        keras.saving.load_model(path)


@pytest.mark.parametrize(
    ("config", "known"),
    [
        (SYSTEM, []),
        (SHELL, []),
        (POPEN, []),
        (EVAL, []),
        ({"class_name": "Path", "module": "pathlib", "registered_name": "Path"}, []),
        ({"class_name": "import_module", "module": "importlib", "registered_name": "a"}, []),
        ({"class_name": "L1", "module": "mtl_tf.losses.l1", "registered_name": "a"}, ["a"]),
        ([{"class_name": 3, "registered_name": "a", "module": {}}, None, 1.5], []),
    ],
)
def test_only_classes_of_keras_that_are_imported_are_known(config, known):
    assert list(known_classes({"config": [config]})) == known


@pytest.mark.parametrize("name", ["../../evil", MARKUP])
def test_a_task_of_that_name_is_another_task(name, trainer_path, tmp_path):
    path = rewritten(
        trainer_path,
        tmp_path / "bad.keras",
        lambda config: config["config"]["tasks"][0].update(name=name),
    )
    with pytest.raises(ValueError, match="has no output for task"):
        keras.saving.load_model(path)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\u202e", "", " ", "a\0", "\udcff", 5, None])
def test_a_name_that_cannot_be_printed_is_no_task(name):
    import dataclasses

    with pytest.raises(ValueError, match="printable"):
        dataclasses.replace(mtl.TASKS["depth"], name=name)


def test_the_network_of_a_trainer(trainer_path):
    assert isinstance(load_network(trainer_path).output, dict)
