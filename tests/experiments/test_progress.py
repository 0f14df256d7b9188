"""Progress of a run: rows that fit the terminal, a line with the time left, JSON."""

import io
import json
import re
import types

import pytest
from rich.console import Console

import mtl_tf as mtl
from mtl_tf.experiments import JsonLines, Rows
from mtl_tf.experiments.progress import _duration, _Pace

TASKS = mtl.tasks.as_tasks({"semseg": 13, "depth": 1, "normals": 3, "edges": 1})
SIX = mtl.tasks.as_tasks(("semseg", "human_parts", "saliency", "normals", "edges", "depth"))
EPOCHS = (
    {"semseg": 0.2, "depth": 1.2, "normals": 40.0, "edges": 0.3},
    {"semseg": 0.3, "depth": 1.3, "normals": 35.0, "edges": 0.3},
    {"semseg": 0.25, "depth": 1.0, "normals": 36.0, "edges": 0.4},
)


def backup(**values):
    return types.SimpleNamespace(**{"epoch": 0, "step": 0, "history": [], **values})


def logs_of(values, tasks):
    logs = {"loss": 3.14159}
    for task in tasks:
        logs[f"val_{task.name}_{task.main_metric}"] = values.get(task.name, 0.5)
    return logs


def written(tasks, is_terminal, width=80):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=width, highlight=False,
                      soft_wrap=True)  # fmt: skip
    callback = Rows(console).callback(tasks, 5, 4, backup())
    callback.set_params({"steps": 3})
    callback.on_train_begin()
    for epoch, values in enumerate(EPOCHS):
        callback.on_epoch_begin(epoch)
        for batch in range(3):
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch, logs_of(values, tasks))
    callback.on_train_end()
    return stream.getvalue()


def test_a_row_for_each_epoch():
    header, metrics, *rows = written(TASKS, is_terminal=False).splitlines()
    assert header.split() == ["epoch", "loss", "semseg", "depth", "normals", "edges", "time"]
    assert metrics.split() == ["miou", "↑", "rmse", "↓", "mean", "↓", "f", "↑"]
    assert [row.split()[0] for row in rows] == ["1/5", "2/5", "3/5"]
    assert "3.142" in rows[0] and "20.0 % " in rows[0] and "1.200 m " in rows[0]
    assert "30.0 %+" in rows[1] and "1.300 m-" in rows[1] and "35.00°+" in rows[1]
    assert "25.0 %-" in rows[2] and "1.000 m+" in rows[2] and "36.00°-" in rows[2]
    assert "30.0 % " in rows[1]  # edges: equal to the best one


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("tasks", [TASKS, SIX], ids=["four", "six"])
def test_rows_fit_the_terminal(tasks, width):
    text = written(tasks, is_terminal=True, width=width)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", text)
    rows = [line for line in plain.splitlines() if re.match(r"\s*\d/5\s", line)]
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "\n").splitlines()
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]
    assert len([line for line in shown if re.match(r"\s*\d/5\s+", line)]) == 3 or rows
    assert max(map(len, shown)) <= width
    for task in tasks:
        assert any(task.name in line for line in shown)


def test_a_resumed_run_knows_its_best_epochs_and_skips_no_step():
    before = backup(epoch=1, step=2, history=[logs_of({"depth": 1.0}, TASKS[1:2])])
    stream = io.StringIO()
    callback = Rows(Console(file=stream, width=80)).callback(TASKS[1:2], 5, 4, before)
    callback.set_params({"steps": 4})
    callback.on_train_begin()
    callback.on_epoch_begin(1)
    for batch in range(4):
        callback.on_train_batch_end(batch)
    assert callback._now._counted == 2
    callback.on_epoch_end(1, logs_of({"depth": 1.2}, TASKS[1:2]))
    assert "1.200 m-" in stream.getvalue()


def test_a_terminal_without_these_characters():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    callback = Rows(Console(file=stream, width=80)).callback(TASKS, 5, 4, backup())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, logs_of(EPOCHS[0], TASKS))
    stream.flush()
    text = stream.buffer.getvalue().decode()
    assert "miou ^" in text and "rmse v" in text and "40.00 deg" in text


def test_a_missing_metric_and_a_strange_name():
    heat = mtl.Task(
        "a very long name of a task", 1, mtl.TASKS["depth"].activation, mtl.losses.L1,
        mtl.TASKS["depth"].metrics, "rmse", False,
    )  # fmt: skip
    stream = io.StringIO()
    callback = Rows(Console(file=stream, width=80)).callback([heat], 2, 1, backup())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, {})
    assert "a very long…" in stream.getvalue() and " - " in stream.getvalue()


def test_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mtl_tf.experiments.progress.time.monotonic", lambda: now[0])
    pace = _Pace()
    pace.begin_epoch(0, 4)
    for batch in range(4):
        now[0] += 10.0 if batch == 0 else 2.0  # the first step traces
        pace.end_step(batch)
    assert pace.steps_per_s() == pytest.approx(0.5)
    assert pace.left_s(3, 3) == pytest.approx(8 * 2)
    now[0] += 5.0  # validation
    pace.end_epoch()
    assert pace.epoch_s == 21
    pace.begin_epoch(1, 4)
    for batch in range(2):
        now[0] += 2.0
        pace.end_step(batch)
    assert pace.left_s(1, 3) == pytest.approx(2 * 2 + 5 + 4 * 2 + 5)


def test_the_time_left_after_an_epoch_that_was_resumed_at_its_end(monkeypatch):
    now = [10_000.0]
    monkeypatch.setattr("mtl_tf.experiments.progress.time.monotonic", lambda: now[0])
    pace = _Pace()
    pace.begin_epoch(2, 4)
    now[0] += 5.0  # all steps were done before: validation only
    pace.end_epoch()
    pace.begin_epoch(3, 4)
    for batch in range(2):
        now[0] += 2.0
        pace.end_step(batch)
    assert pace.left_s(1, 5) == pytest.approx(2 * 2 + 5 + 4 * 2 + 5)


def test_stages():
    stream = io.StringIO()
    with Rows(Console(file=stream)).stage("Evaluating [x]"):
        pass
    assert stream.getvalue() == "Evaluating [x] ...\n"
    stream = io.StringIO()
    with Rows(Console(file=stream, force_terminal=True, width=80)).stage("Evaluating"):
        pass
    assert "Evaluating: 0 s" in stream.getvalue()


def test_json_lines(capsys):
    callback = JsonLines().callback(TASKS, 5, 4, backup())
    callback.on_epoch_end(0, {"loss": float("nan"), "val_depth_rmse": 2})
    line = json.loads(capsys.readouterr().out)
    assert line == {"epoch": 1, "epochs": 5, "logs": {"loss": None, "val_depth_rmse": 2.0}}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599.6, "1:00 h"), (5000, "1:23 h")],
)
def test_durations(seconds, text):
    assert _duration(seconds) == text
