"""`mtl-tf` ends within seconds with the right code, also when killed, and leaves nothing behind."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid

import cv2
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.surveys import grid, processes
from tests.helpers.inputs import tiny_backbone
from tests.helpers.nyud_folders import write_pack

MARK = "MTL_TF_TEST_MARK"
ROOMS = ["--data", "rendered_rooms", "--height", "32", "--width", "64", "--batch-size", "4"]
SIGNALS = {"SIGTERM": -signal.SIGTERM, "SIGINT": 130, "SIGKILL": -signal.SIGKILL}
LINE_OF_TENSORFLOW = re.compile(r"[IWE]\d{4} |WARNING: All log|To enable the following|\t \[\[|$")


class Command:
    """A process `mtl-tf ...`; a mark in the environment identifies all its descendants."""

    def __init__(self, arguments, folder):
        self.mark = uuid.uuid4().hex
        self.errors = folder / f"{self.mark}.txt"
        with self.errors.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mtl_tf.cli", *map(str, arguments)],
                env=os.environ | {MARK: self.mark},
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )

    def living(self):
        """Numbers of the processes that carry the mark and are not yet dead."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                is_ours = f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes()
                if is_ours and "zombie" not in (folder / "status").read_text():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def wait(self, limit=120):
        """The exit code."""
        try:
            return self.process.wait(limit)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait_for(self, is_there, limit=120):
        """Waits until something is there; the process must not have ended."""
        begun = time.monotonic()
        while not is_there():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() - begun < limit
            time.sleep(0.05)

    def told(self):
        """What it wrote to standard error, without TensorFlow's own lines."""
        lines = self.errors.read_text().splitlines()
        return [line for line in lines if not LINE_OF_TENSORFLOW.match(line)]

    def leaves_nothing(self):
        """Nothing lives on; what does is ended, and the test fails."""
        for _ in range(100):
            if not (found := self.living()):
                return
            time.sleep(0.1)
        for number in found:
            os.kill(number, signal.SIGKILL)
        raise AssertionError(f"{len(found)} processes live on")


def run(arguments, folder):
    """Exit code and lines on standard error."""
    command = Command(arguments, folder)
    return command.wait(), command.told()


# === Damaged data ===


@pytest.mark.parametrize("split", ["train", pytest.param("val", marks=pytest.mark.slow)])
def test_training_on_a_damaged_photograph(split, tmp_path):
    write_pack(tmp_path / "nyud", 8)
    data = mtl.data.NYUDv2(tmp_path / "nyud", num_classes=40)
    photo = tmp_path / "nyud" / "rgb" / f"{data.ids(split)[-1]}.jpg"
    photo.write_bytes(photo.read_bytes()[:200])
    options = [
        "--data",
        "nyud",
        "--root",
        tmp_path / "nyud",
        "--num-classes",
        "40",
        "--height",
        "32",
        "--width",
        "64",
        "--batch-size",
        "2",
        "--tasks",
        "semseg,depth",
        "--epochs",
        "1",
        "--quiet",
    ]
    begun = time.monotonic()
    code, told = run(["train", *options, "--out", tmp_path / "run"], tmp_path)
    assert code == 1 and time.monotonic() - begun < 60
    assert len(told) == 1 and told[0].startswith(f"mtl-tf: {photo} is damaged")


# === Killed, and resumed ===


def stage_of_training(folder, stage):
    """Whether a run in a folder has come to a stage."""
    return {
        "begun": lambda: (folder / "config.json").exists(),
        "trained an epoch": lambda: any((folder / "backup").glob("epoch_*")),
        "saved": lambda: (folder / "model.keras").exists(),
    }[stage]


TRAIN = [
    *ROOMS,
    "--tasks",
    "depth,edges",
    "--train-size",
    "40",
    "--val-size",
    "6",
    "--epochs",
    "3",
    "--quiet",
    "--resume",
]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["imported", "begun", "trained an epoch", "saved"])
@pytest.mark.parametrize("number", SIGNALS)
def test_train(number, stage, tmp_path):
    out = tmp_path / "run"
    command = Command(["train", *TRAIN, "--out", out], tmp_path)
    if stage == "imported":
        time.sleep(2)
    else:
        command.wait_for(stage_of_training(out, stage))
    command.process.send_signal(getattr(signal, number))
    begun = time.monotonic()
    code = command.wait()
    assert time.monotonic() - begun < 20
    expected = (SIGNALS[number], -signal.SIGINT) if stage == "imported" else (SIGNALS[number],)
    assert code in expected, command.told()
    if number == "SIGINT" and stage != "imported":
        assert command.told() == ["mtl-tf: stopped. Continue a run with --resume"]
    command.leaves_nothing()
    assert run(["train", *TRAIN, "--out", out], tmp_path)[0] == 0
    assert len(json.loads((out / "results.json").read_text())["history"]) == 3
    assert not list(out.glob("*unfinished*"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["survey", "tune"])
@pytest.mark.parametrize("number", SIGNALS)
def test_survey_and_tune(number, kind, tmp_path):
    out = tmp_path / "out"
    options = {
        "data": "rendered_rooms",
        "tasks": ["depth", "normals"],
        "height": 32,
        "width": 64,
        "train_size": 40,
        "val_size": 4,
        "batch_size": 4,
        "epochs": 2,
    }
    (tmp_path / "options.json").write_text(json.dumps(options))
    arguments = [kind, "--config", tmp_path / "options.json", "--out", out]
    arguments += (
        ["--architectures", "shared_trunk", "--workers", "2"]
        if kind == "survey"
        else ["--trials", "2"]
    )
    command = Command(arguments, tmp_path)
    command.wait_for(lambda: any(out.glob("cells/*/backup/epoch_*")))
    assert len(command.living()) >= 2
    command.process.send_signal(getattr(signal, number))
    assert command.wait(30) == SIGNALS[number]
    command.leaves_nothing()
    assert run(arguments, tmp_path) == (0, [])
    assert len(list(out.glob("cells/*/results.json"))) == (3 if kind == "survey" else 2)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("kind", ["photographs", "video"])
def test_predict(kind, number, tmp_path):
    model = tmp_path / "model.keras"
    mtl.architectures.SharedTrunk(tiny_backbone(32, 64), {"depth": 1}, (32, 64, 3)).save(model)
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    if kind == "video":
        path = source / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (1280, 720))
        for _ in range(300):
            writer.write(picture)
        writer.release()
    else:
        path = source
        for i in range(100):
            cv2.imwrite(str(source / f"{i}.jpg"), picture)
    command = Command(["predict", path, "--model", model, "--out", out], tmp_path)
    command.wait_for(lambda: out.exists() and any(out.iterdir()))
    command.process.send_signal(getattr(signal, number))
    assert command.wait(30) == SIGNALS[number]
    command.leaves_nothing()
    whole = [p for p in out.iterdir() if "part" not in p.name and not p.name.startswith(".")]
    assert len(whole) < (1 if kind == "video" else 100)
    assert all(cv2.imread(str(picture)) is not None for picture in whole)


# === A survey whose cells do not behave ===


@pytest.fixture
def cells(monkeypatch, tmp_path):
    """Runs two cells, of which the first does what a script says; the outcomes."""

    def run_them(script, **limits):
        base = {"data": "rendered_rooms", "tasks": ["depth", "edges"]}
        (first, second, *_) = grid.make_cells([("shared_trunk", "fixed_weights")], [0], base)
        finish = (
            "import pathlib, shutil, sys; f = pathlib.Path(sys.argv[1]);"
            "shutil.copy(f / 'request.json', f / 'config.json');"
            "(f / 'results.json').write_text('{}')\n"
        )

        def command(folder, baselines):
            code = (script if folder.name == first.key else "") + "\n" + finish
            return [sys.executable, "-c", code, str(folder)]

        monkeypatch.setattr(processes, "command_of", command)
        begun = time.monotonic()
        found = processes.run_cells([first, second], tmp_path, log=lambda line: None, **limits)
        assert time.monotonic() - begun < 20
        return [outcome.problem for outcome in found]

    return run_them


def is_gone(path):
    """Whether the process whose number a file holds has ended."""
    for _ in range(50):
        try:
            if "zombie" in pathlib.Path(f"/proc/{path.read_text()}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


CHILD = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    "open({path!r}, 'w').write(str(child.pid))\n"
)


def test_a_cell_that_ignores_signals_is_ended_by_its_time_limit(cells):
    ignore = (
        "import signal, time\n"
        "for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):\n"
        "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "while True: time.sleep(1)\n"
    )
    first, second = cells(ignore, time_limit_s=2.0)
    assert "took longer than" in first and not second


def test_a_cell_that_has_stopped_is_ended_by_its_time_limit(cells):
    first, second = cells("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", time_limit_s=2)
    assert "took longer than" in first and not second


@pytest.mark.parametrize(
    "end", ["", "os._exit(3)\n", "os.kill(os.getpid(), 9)\n", "time.sleep(99)\n"]
)
def test_a_child_that_a_cell_leaves_behind_is_ended(end, cells, tmp_path):
    """It holds the log open, and would work beside the next cell."""
    path = tmp_path / "child"
    first, second = cells(CHILD.format(path=str(path)) + end, time_limit_s=3.0)
    assert bool(first) == bool(end) and not second
    assert is_gone(path)


def test_a_cell_that_writes_without_end(cells):
    """There is no pipe that fills; of the log only the end is read."""
    flood = (
        "import sys\nfor _ in range(300): sys.stdout.write('x' * (1 << 20))\nsys.exit('the end')"
    )
    first, second = cells(flood)
    assert "ended with code 1" in first and "the end" in first and not second
    assert len(first) < 1 << 17
