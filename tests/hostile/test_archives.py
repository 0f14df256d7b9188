"""Archives of models and results from anywhere: each attack, and what must come of it."""

from __future__ import annotations

import io
import json
import os
import pathlib
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.deployment.saved_models import load_network
from mtl_tf.evaluation import ImageStates
from tests.helpers.inputs import batch, tiny_model
from tests.hostile.outcome import npy
from tests.hostile.test_models import CODE, POPEN, rewritten


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# === Archives ===


def bomb(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
        with archive.open("config.json", "w") as stream:
            for _ in range(100):
                stream.write(b" " * (1 << 20))


def members(**content: bytes) -> Callable[[pathlib.Path], None]:
    def write(path: pathlib.Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)

    return write


ARCHIVES = {
    "a bomb": (bomb, "100 MiB of configuration"),
    "nested 100000 deep": (
        members(**{"config.json": b"[" * 100_000, "metadata.json": b"{}", "model.weights.h5": b""}),
        "cannot be loaded",
    ),
    "a member further up": (members(**{"../evil": b"x"}), "'../evil' leads out"),
    "a member further up, among assets": (members(**{"assets/../../evil": b"x"}), "leads out"),
    "an absolute member": (members(**{"/tmp/mtl_tf_evil": b"x"}), "leads out"),
    "a member with backslashes": (members(**{"..\\evil": b"x"}), "leads out"),
    "no configuration": (members(a=b"x"), "cannot be loaded"),
    "no archive": (lambda path: path.write_bytes(b"junk"), "cannot be loaded"),
    "no byte": (lambda path: path.write_bytes(b""), "cannot be loaded"),
    "a pipe": (os.mkfifo, "missing"),
    "a folder": (lambda path: path.mkdir(), "missing"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "missing"),
}


@pytest.mark.parametrize("attack", ARCHIVES)
def test_archives_that_lie(attack, tmp_path, command):
    make, message = ARCHIVES[attack]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "bad.keras")
    outcome = command("export", tmp_path / "in" / "bad.keras", tmp_path / "in" / "model.onnx")
    outcome.assert_refused(message)
    assert "bad.keras" in outcome.err
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "bad.keras"]
    assert not pathlib.Path("/tmp/mtl_tf_evil").exists()


def external_link(group: Any, name: str, shape: tuple) -> None:
    group[name] = h5py.ExternalLink("/tmp/other.h5", "x")


def external_storage(group: Any, name: str, shape: tuple) -> None:
    group.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def terabyte(group: Any, name: str, shape: tuple) -> None:
    group.create_dataset(name, (500_000, 500_000), "f4", chunks=(1, 1000))


@pytest.mark.parametrize("replace", [external_link, external_storage, terabyte])
def test_weights_that_lie(replace, tmp_path):
    tiny_model().save("model.keras")
    with zipfile.ZipFile("model.keras") as archive:
        stream = io.BytesIO(archive.read("model.weights.h5"))
    found: list[tuple[str, tuple]] = []
    with h5py.File(stream, "a") as file:
        file.visititems(
            lambda name, x: found.append((name, x.shape)) if isinstance(x, h5py.Dataset) else None
        )
        name, shape = found[0]
        del file[name]
        replace(file, name, shape)
    weights = {"model.weights.h5": stream.getvalue()}
    path = rewritten(pathlib.Path("model.keras"), tmp_path / "bad.keras", **weights)
    with pytest.raises(ValueError, match=r"bad\.keras cannot be loaded"):
        load_network(path)


def test_a_model_of_something_else(tmp_path, command):
    image = keras.Input((8, 8, 3))
    free = keras.Input((None, None, 3))
    for model in (
        keras.Model(image, keras.layers.Flatten()(image)),
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]),
        keras.Model(free, {"depth": keras.layers.Conv2D(1, 1)(free)}),
    ):
        model.save("model.keras")
        for arguments in (("predict", "model.keras", "--model"), ("export",)):
            outcome = command(*arguments, "model.keras", *(["x.onnx"] * (len(arguments) == 1)))
            outcome.assert_refused("must hold a network from images")


# === What images add to the results ===


def states(path: pathlib.Path, **changes: Any) -> None:
    images, targets, masks = batch({"semseg": 5, "depth": 1}, 2)
    outputs = {
        "semseg": np.eye(5, dtype=np.float32)[targets["semseg"][..., 0]],
        "depth": targets["depth"],
    }
    judged = mtl.evaluation.evaluate_images(
        lambda image, training: outputs, [(images, targets, masks)], {"semseg": 5, "depth": 1}
    )
    judged.save(path)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files}
    tasks = changes.pop("tasks", None)
    if tasks is not None:
        arrays["tasks"] = np.frombuffer(json.dumps(tasks).encode(), np.uint8)
    np.savez(path, **(arrays | changes))


def task_with(**made: Any) -> dict[str, Any]:
    config = mtl.task_config.task_config(mtl.TASKS["depth"])
    return {"semseg": 5, "depth": config | {"main_metric": "x"} | made}


STATES = {
    "10^12 classes": {"tasks": {"semseg": 10**12, "depth": 1}},
    "a metric that is code": {"tasks": task_with(metrics={"made": [CODE]})},
    "a metric that is a program": {"tasks": task_with(metrics={"made": [POPEN]})},
    "a metric that is os.system": {"tasks": task_with(metrics={"class": "system", "module": "os"})},
    "a task with escapes": {"tasks": task_with(name="\x1b[2J")},
    "no tasks": {"tasks": []},
    "nested 100000 deep": {"tasks": json.loads("[" * 500 + "]" * 500)},
    "other sums": {"depth/x": np.zeros(2)},
    "sums of other images": {"depth/count": np.zeros(3)},
    "sums of another shape": {"depth/count": np.zeros((2, 7))},
    "texts": {"depth/count": np.array(["a", "b"])},
    "a fingerprint for all": {"fingerprints": np.array(3)},
}


@pytest.mark.parametrize("attack", STATES)
def test_image_states_that_lie(attack, tmp_path, command):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        states(tmp_path / "images.npz", **dict(STATES[attack]))
    outcome = command("compare", tmp_path, tmp_path / "images.npz")
    outcome.assert_refused("images.npz holds no results of single images")


def test_image_states_that_are_a_bomb_or_a_pipe(tmp_path, command):
    with zipfile.ZipFile(tmp_path / "images.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fingerprints.npy", npy("(500000, 500000)"))
        archive.writestr("tasks.npy", npy("(500000, 500000)", bytes(1 << 20)))
    command("compare", tmp_path, tmp_path).assert_refused("images.npz holds no results")
    (tmp_path / "images.npz").unlink()
    os.mkfifo(tmp_path / "images.npz")
    command("compare", tmp_path, tmp_path).assert_refused("pipe")
    with pytest.raises(ValueError, match="missing"):
        ImageStates.load(tmp_path / "nowhere.npz")


def test_a_model_of_another_run_is_not_judged(tmp_path, command):
    image = keras.Input((16, 16, 3))
    keras.Model(image, {"depth": keras.layers.Conv2D(1, 1)(image)}).save("model.keras")
    config = {"tasks": ["depth"], "height": 32, "width": 64, "train_size": 2, "val_size": 1}
    pathlib.Path("config.json").write_text(json.dumps(config | {"batch_size": 1}))
    command("evaluate", tmp_path).assert_refused("they are not of one run")
    keras.Model(image, {"mine": keras.layers.Conv2D(1, 1)(image)}).save("model.keras")
    pathlib.Path("a.jpg").write_bytes(b"")
    command("predict", "a.jpg", "--model", "model.keras").assert_refused("no map of a known task")
