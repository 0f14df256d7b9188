"""What other programs read: `--json`, exit codes and the completion of shells."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.cli.commands import doctor
from mtl_tf.evaluation import evaluate_images

TASKS = {"semseg": 4, "depth": 1}


@pytest.fixture
def printed(capsys):
    """Function that runs a command with `--json` and returns its code and its output."""

    def run(*arguments):
        code = cli.main([*map(str, arguments), "--json"])
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        return code, json.loads(out, parse_constant=pytest.fail)

    return run


@pytest.fixture(scope="module")
def network():
    return mtl.architectures.SharedTrunk("resnet18", TASKS, (32, 32, 3), head="conv")


def test_doctor(printed, monkeypatch, capsys):
    code, found = printed("doctor")
    assert code == 0 and found["facts"]["mtl_tf"] == mtl.__version__
    assert found["available"].keys() >= {"gpu", "native"} and "nvidia driver" in found["facts"]
    assert "onnxruntime" in found["facts"]["extra export"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert cli.main(["doctor", "--require", "gpu", "--require", "native"]) == 1
    assert "missing: gpu" in capsys.readouterr().err
    monkeypatch.setattr(doctor, "_versions", lambda names: dict.fromkeys(names, ""))
    assert cli.main(["doctor", "--require", "export"]) == 1
    captured = capsys.readouterr()
    assert "onnx missing" in captured.out and "missing: export" in captured.err


def test_native_ops_that_are_asked_for_and_missing(monkeypatch, capsys):
    facts, has = doctor.diagnosis()
    for mode, code in (("on", 1), ("auto", 0)):
        answer = (facts | {"MTL_TF_NATIVE": mode}, has | {"native": False})
        monkeypatch.setattr(doctor, "diagnosis", lambda answer=answer: answer)
        assert cli.main(["doctor"]) == code
    assert "missing: native" in capsys.readouterr().err


def test_predict(printed, network, tmp_path):
    network.save(tmp_path / "model.keras")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    arguments = ["predict", tmp_path / "a.png", "--model", tmp_path / "model.keras"]
    code, found = printed(*arguments, "--out", tmp_path / "out")
    assert code == 0 and found["images"] == 1
    assert sorted(found["files"]) == sorted(map(str, (tmp_path / "out").iterdir()))
    (tmp_path / "b.png").write_bytes(b"no image")
    both = [tmp_path / "b.png", tmp_path / "a.png"]
    code, found = printed("predict", *both, *arguments[2:], "--out", tmp_path / "again")
    assert code == 1 and found["images"] == 2 and len(found["files"]) == 2


def test_compare(printed, network, tmp_path):
    rooms = mtl.data.RenderedRooms(("depth",), (32, 32, 3), train_size=2, val_size=4)
    model = mtl.architectures.SharedTrunk("resnet18", rooms.tasks, (32, 32, 3), head="conv")
    states = evaluate_images(model, rooms.test(), rooms.tasks)
    states.save(tmp_path / "images.npz")
    code, found = printed("compare", tmp_path / "images.npz", tmp_path / "images.npz")
    assert code == 0 and found["images"] == 4
    (rmse,) = (row for row in found["differences"] if row["metric"] == "rmse")
    assert rmse["task"] == "depth" and rmse["difference"] == 0 and rmse["verdict"] == "same"


def test_data_check(printed, tmp_path):
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (8, 6), "blue").save(root / f"images/{i}.png")
        Image.fromarray(np.full((6, 8), i % 2, np.uint8)).save(root / f"labels/{i}.png")
    (root / "data.yaml").write_text(
        "images: images/*.png\n"
        "splits: {val: 0.3}\n"
        "tasks:\n"
        "  semseg: {files: labels/*.png, encoding: png class ids, classes: [a, b]}\n"
    )
    sheet = tmp_path / "sheet.png"
    code, found = printed("data", "check", root, "--sheet", sheet)
    assert code == 0 and found["images"] == 3 and found["damaged"] == []
    assert found["tasks"]["semseg"] == [3, 1.0] and found["sheet"] == str(sheet)
    (root / "labels/1.png").write_bytes(b"no image")
    (root / "labels/2.png").unlink()
    code, found = printed("data", "check", root, "--sheet", sheet)
    missing, damaged = found["damaged"]
    assert code == 1 and "labels/1.png is damaged" in damaged
    assert "images/2.png has no semseg label" in missing and "missing: allow" in missing


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(capsys, shell):
    pytest.importorskip("shtab")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("benchmark", "with-postprocessing", "letterbox"):
        assert word in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_files(capsys, tmp_path):
    pytest.importorskip("shtab")
    cli.main(["completion", "bash"])
    (tmp_path / "completion.sh").write_text(capsys.readouterr().out)
    (tmp_path / "photo_of_a_room.jpg").touch()

    def completed(*words):
        line = " ".join(words)
        script = (
            f"source completion.sh; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            "_shtab_mtl_tf; echo ${COMPREPLY[@]}"
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout.split()

    assert completed("mtl-tf", "ex") == ["export"]
    assert completed("mtl-tf", "export", "--with-po") == ["--with-postprocessing"]
    assert completed("mtl-tf", "export", "--precision", "i") == ["int8"]
    assert completed("mtl-tf", "predict", "photo_") == ["photo_of_a_room.jpg"]
    assert completed("mtl-tf", "train", "--root", "photo_") == ["photo_of_a_room.jpg"]


def test_a_preset_has_no_options_of_other_formats(capsys, tmp_path):
    arguments = ["export", "quick", str(tmp_path / "out"), "--format", "preset"]
    assert cli.main([*arguments, "--precision", "int8", "--batch", "1"]) == 2
    assert "--batch, --precision: no option of --format preset" in capsys.readouterr().err


def test_a_command_without_its_packages():
    program = (
        "import sys; sys.modules['pydantic'] = None; from mtl_tf import cli; "
        "sys.exit(cli.main(['train', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert 'pip install "mtl-tf[' in done.stderr
