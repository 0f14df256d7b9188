"""Own tasks and an own data set from the command line, end to end."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mtl_tf import cli
from mtl_tf.experiments import make_config
from mtl_tf.surveys import processes
from mtl_tf.surveys.grid import Cell

CODE = pathlib.Path(__file__).parent / "own_code"
TASKS = f"{CODE}/my_tasks.py:heat,{CODE}/my_tasks.py:parts"
NAMES = ["heat", "vehicle_parts"]
SIZE = ["--height", "32", "--width", "64", "--batch-size", "4"]
TINY = [
    "train",
    "--data",
    f"{CODE}/my_data.py:Garage",
    "--tasks",
    TASKS,
    *SIZE,
    "--epochs",
    "2",
    "--best-of",
    "2",
    "--loss-weights",
    '{"heat": 2}',
    "--quiet",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "run"
    assert cli.main([*TINY, "--out", str(folder)]) == 0
    return folder


def test_train_reports_the_own_tasks(finished):
    summary = json.loads((finished / "results.json").read_text())
    assert list(summary["results"]) == list(summary["baseline"]) == NAMES
    assert list(summary["results"]["heat"])[-1] == "hot_share"
    assert summary["kept"]["score"] is not None
    config = json.loads((finished / "config.json").read_text())
    assert config["data"] == f"{CODE}/my_data.py:Garage"
    assert config["tasks"] == TASKS.split(",")
    page = (finished / "report.html").read_text()
    assert all(name in page for name in NAMES)
    assert all(f"| {name} |" in (finished / "report.md").read_text() for name in NAMES)


def test_a_relative_path_resumes_and_evaluates(finished, monkeypatch, capsys):
    before = json.loads((finished / "results.json").read_text())
    monkeypatch.chdir(CODE)
    relative = [text.replace(f"{CODE}/", "") for text in TINY]
    assert cli.main([*relative, "--out", str(finished), "--resume"]) == 0
    monkeypatch.chdir("/")
    capsys.readouterr()
    assert cli.main(["evaluate", str(finished)]) == 0
    printed = json.loads(capsys.readouterr().out)
    for task, metrics in before["results"].items():
        assert printed[task] == pytest.approx(metrics, rel=1e-4, abs=1e-6)


def test_compare(finished, capsys):
    arguments = ["compare", str(finished), str(finished), "--resamples", "20"]
    assert cli.main(arguments) == 0
    assert "heat" in capsys.readouterr().out
    assert cli.main([*arguments, "--tasks", TASKS]) == 0
    assert "vehicle_parts" in capsys.readouterr().out


@pytest.mark.slow
def test_compare_imports_only_what_the_user_names(finished):
    arguments = [sys.executable, "-m", "mtl_tf", "compare", finished, finished, "--resamples", "20"]
    without = subprocess.run(arguments, capture_output=True, text=True)
    assert without.returncode == 2 and "my_tasks" in without.stderr
    with_tasks = subprocess.run([*arguments, "--tasks", TASKS], capture_output=True, text=True)
    assert with_tasks.returncode == 0 and "abs_error" in with_tasks.stdout, with_tasks.stderr


def test_predict(finished, tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(photo)
    arguments = ["predict", str(photo), "--model", str(finished / "model.keras")]
    assert cli.main([*arguments, "--out", str(tmp_path / "maps"), "--tasks", f"depth,{TASKS}"]) == 0
    for name in NAMES:
        with Image.open(tmp_path / "maps" / f"photo_{name}.png") as picture:
            assert picture.size == (70, 50)


@pytest.mark.slow
def test_an_own_task_on_a_data_set_of_the_library(tmp_path):
    code = tmp_path / "robust.py"
    code.write_text(
        "import dataclasses\nimport keras\nimport mtl_tf as mtl\n"
        "depth = dataclasses.replace(mtl.TASKS['depth'], loss=keras.losses.Huber)\n"
    )
    out = tmp_path / "run"
    arguments = ["--train-size", "4", "--val-size", "2", "--epochs", "1", "--quiet"]
    tasks = ["--tasks", f"semseg,{code}:depth", "--auxiliary-tasks", "depth"]
    network = ["--architecture", "pad_net"]
    assert cli.main(["train", *SIZE, *arguments, *tasks, *network, "--out", str(out)]) == 0
    assert list(json.loads((out / "results.json").read_text())["results"]) == ["semseg"]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (["--data", "nowhere.py:Garage"], ["/nowhere.py is missing"]),
        (["--data", f"{CODE}/my_data.py:Garages"], ["no 'Garages'", "Garage, garage"]),
        (["--data", f"{CODE}/my_data.py:my_tasks"], ["subclass of mtl_tf.data.DenseDataset"]),
        (["--data", f"{CODE}/my_data.py:of_numbers"], ["must return", "[1, 2, 3]"]),
        (
            [
                "--data",
                f"{CODE}/my_data.py:WithoutTasks",
                "--tasks",
                f"{CODE}/my_tasks.py:heat",
                "--loss-weights",
                "{}",
            ],
            ["'heat' has 1 channels", "3 and TargetKind.CLASSES"],
        ),
        (["--data", "Garage"], ["data: must be one of nyud", "path/to/file.py:NAME"]),
        (["--tasks", "depth", "--loss-weights", "{}"], ["tasks must be some of", "heat"]),
        (["--tasks", f"{CODE}/my_tasks.py:mtl"], ["must be an mtl_tf.Task"]),
        (["--tasks", f"{CODE}/my_tasks.py:warmth"], ["no 'warmth'", "heat"]),
        (["--tasks", "os:getcwd"], ["os:getcwd must be an mtl_tf.Task"]),
        (["--tasks", "no_such_module:heat"], ["ModuleNotFoundError"]),
        (["--tasks", "warmth"], ["tasks: 'warmth' must be one of semseg", "path/to/file.py:NAME"]),
        (["--tasks", f"{TASKS},{TASKS}"], ["each task once"]),
        (["--loss-weights", '{"warmth": 1}'], ["loss_weights", "heat, vehicle_parts", "warmth"]),
        (["--best-by", "depth"], ["best_by", "depth"]),
        (["--auxiliary-tasks", "heat,vehicle_parts"], ["auxiliary_tasks", "not all"]),
    ],
)
def test_errors_say_what_is_missing(changes, messages, tmp_path, capsys):
    assert cli.main([*TINY, "--out", str(tmp_path / "run"), *changes]) == 2
    error = capsys.readouterr().err
    assert all(message in error for message in messages), error
    assert not (tmp_path / "run").exists()


def test_only_evaluate_runs_the_code_that_a_run_names(tmp_path, capsys):
    run, ran = tmp_path / "run", tmp_path / "ran"
    trap = tmp_path / "trap.py"
    trap.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    config = make_config(data=f"{trap}:Rooms", tasks=("depth", f"{trap}:heat"))
    run.mkdir()
    (run / "config.json").write_text(config.to_json())
    (run / "results.json").write_text('{"results": {"depth": {"rmse": 0.5}}}')
    other = ["train", "--train-size", "8", "--out"]
    assert cli.main([*other, str(run)]) == 2
    assert cli.main([*other, str(run), "--resume"]) == 2
    assert "another configuration" in capsys.readouterr().err
    assert cli.main([*other, str(tmp_path / "new"), "--epochs", "0", "--baseline", str(run)]) == 2
    assert cli.main(["compare", str(run), str(run)]) == 2
    cell = Cell(("shared_trunk", "fixed_weights"), make_config())
    assert not processes._is_finished(cell, run)
    assert not ran.exists()
    capsys.readouterr()
    assert cli.main(["evaluate", str(run)]) == 2
    assert "trap.py has no 'heat'" in capsys.readouterr().err
    assert ran.exists()


@pytest.mark.slow
def test_survey_and_tune(tmp_path):
    options = tmp_path / "options.json"
    options.write_text('{"height": 32, "width": 64, "batch_size": 4, "epochs": 1}')
    survey = [
        "survey",
        "--architectures",
        "shared_trunk",
        "--config",
        str(options),
        "--data",
        f"{CODE}/my_data.py:garage",
        "--tasks",
        TASKS,
    ]
    assert cli.main([*survey, "--out", str(tmp_path / "survey")]) == 0
    table = (tmp_path / "survey" / "table.md").read_text()
    assert "heat mean absolute error ↓" in table and "vehicle_parts mean IoU ↑" in table
    assert "vehicle_parts" in (tmp_path / "survey" / "report.html").read_text()
    pytest.importorskip("optuna")
    tune = ["tune", *TINY[1:-1], "--epochs", "1", "--trials", "1", "--search", "loss_weights"]
    assert cli.main([*tune, "--out", str(tmp_path / "tune")]) == 0
    best = json.loads((tmp_path / "tune" / "best.json").read_text())
    assert best["loss_weights"]["heat"] == 2 and "vehicle_parts" in best["loss_weights"]
