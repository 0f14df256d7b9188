"""Files of options and folders of runs from anywhere: each attack, and what must come of it."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.experiments import best_epoch, make_config, run_folder
from mtl_tf.surveys import processes, tables
from mtl_tf.surveys.grid import Cell
from tests.hostile.outcome import STEERING, everything

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
)
FILES = {
    "a program": ("!!python/object/apply:os.system ['touch owned']", "python/object/apply"),
    "a module": ("epochs: !!python/module:os", "python/module"),
    "a class": ("epochs: !!python/name:os.system", "python/name"),
    "a tag of its own": ("epochs: !include /etc/passwd", "!include"),
    "a billion laughs": (LAUGHS + "architecture_options: {a: *a39}", "more than 10000 values"),
    "a billion laughs for tasks": (LAUGHS + "tasks: *a39", "more than 10000 values"),
    "a list that holds itself": ("tasks: &a [*a]", "holds itself"),
    "a key twice": ("epochs: 3\nlearning_rate: 1e-3\nepochs: 300", "'epochs' is there twice"),
    "a key twice, further in": ("loss_weights: {depth: 1.0, depth: 2.0}", "'depth' is there twice"),
    "a key twice, in JSON": ('{"epochs": 3, "epochs": 4}', "'epochs' is there twice"),
    "nested deep": ("[" * 3000, "a.yaml is neither YAML nor JSON"),
    "nested deep, in JSON": ('{"tasks": ' + "[" * 3000 + "]" * 3000 + "}", "a.yaml"),
    "a mapping for a key": ("? {a: 1}\n: 2", "a.yaml"),
    "a number for a key": ("1: 2", "object of options by name"),
    "a list": ("[1, 2]", "object of options by name"),
    "a text": ("hello", "object of options by name"),
    "two documents": ("epochs: 1\n---\nepochs: 2", "a.yaml"),
    "a learning rate that is no number": ("learning_rate: .nan", "learning_rate"),
    "an infinite learning rate": ("learning_rate: .inf", "learning_rate"),
    "an angle that is no number": ("rotation_deg: .nan", "rotation_deg"),
    "infinite epochs": ("epochs: .inf", "epochs"),
    "zooms without end": ("zoom: [1.0, .inf]", "zoom"),
    "a weight that is no number": ("loss_weights: {depth: .nan}", "loss_weights"),
    "NaN of JSON": ('{"weight_decay": NaN}', "weight_decay"),
    "1e999 of JSON": ('{"weight_decay": 1e999}', "weight_decay"),
    "NaN among free options": ("architecture_options: {a: .nan}", "what JSON can"),
    "a set among free options": ("architecture_options: {a: !!set {b}}", "what JSON can"),
    "a name with escapes": (f'"{"a" + chr(92)}e[2J": 1', "unknown. Known: "),
    "10000 unknown names": ("\n".join(f"a{i}: 1" for i in range(4000)), "and 3990 more"),
    "a value of 100000 letters": (f"tasks: {'a' * 100_000}", "tasks"),
    "a file of a megabyte": ("a: " + "b" * (1 << 20), "more than"),
    "no UTF-8": ("a: \udcff", "a.yaml is neither YAML nor JSON"),
}


@pytest.mark.parametrize("attack", FILES)
def test_files_of_options(attack, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, message = FILES[attack]
    (tmp_path / "a.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    outcome = command("train", "--config", "a.yaml", "--out", "run")
    outcome.assert_refused(message)
    assert len(outcome.err) < 20_000
    assert list(everything(tmp_path)) == ["a.yaml"]


def test_aliases_in_moderation_are_options(tmp_path, command):
    (tmp_path / "a.yaml").write_text("tasks: &t [depth]\nauxiliary_tasks: *t\n")
    outcome = command("train", "--config", tmp_path / "a.yaml", "--out", tmp_path / "run")
    outcome.assert_refused("auxiliary_tasks: must be some, but not all, of tasks")


CONFIGS = {
    "a list": "[]",
    "nested deep": "[" * 100_000,
    "NaN": '{"learning_rate": NaN}',
    "unknown names": '{"__class__": 1}',
    "escapes": json.dumps({STEERING: 1}),
    "no UTF-8": "\udcff",
    "a pipe": os.mkfifo,
    "a folder": pathlib.Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


def place(path: pathlib.Path, what) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(what):
        what(path)
    else:
        path.write_bytes(what.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("attack", CONFIGS)
def test_a_run_with_another_configuration(attack, tmp_path, command):
    place(tmp_path / "run" / "config.json", CONFIGS[attack])
    command("evaluate", tmp_path / "run").assert_refused("config.json is not the configuration")
    train = ("train", "--train-size", "8", "--out", tmp_path / "run", "--resume")
    command(*train).assert_refused("config.json")


RESULTS = {
    "a list": "[]",
    "no results": "{}",
    "results that are a list": '{"results": [1]}',
    "texts": '{"results": {"depth": {"rmse": "<b>"}}}',
    "a history that is a text": '{"results": {}, "history": "x"}',
    "nested deep": '{"a":' * 100_000,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("attack", RESULTS)
def test_a_run_with_other_results(attack, tmp_path, command):
    place(tmp_path / "run" / "results.json", RESULTS[attack])
    with pytest.raises(ValueError, match=r"results\.json is not the results of a finished run"):
        read_summary(tmp_path / "run")
    with pytest.raises(ValueError, match="not a finished run"):
        best_epoch.single_task_results([tmp_path / "run"])
    cell = Cell(("shared_trunk", "fixed_weights"), make_config())
    with pytest.raises(ValueError, match=r"results\.json"):
        tables.collect([processes.Outcome(cell, tmp_path / "run", "")])


def test_nothing_of_a_run_is_written_through_a_link(tmp_path, monkeypatch):
    """Locks, logs and files that are written whole."""
    (tmp_path / "mine.txt").write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    for name in (".lock", "report.html", ".report.html.unfinished", "unfinished.keras"):
        (run / name).symlink_to(tmp_path / "mine.txt")
    with (
        pytest.raises(ValueError, match="cannot be written"),
        run_folder.lock_folder(run, make_config(), "x"),
    ):
        pass
    with pytest.raises(ValueError, match="cannot be written"):
        run_folder.is_locked(run)
    write_atomically(run / "report.html", "ours")
    from mtl_tf.training.preset import save_network
    from tests.helpers.inputs import tiny_model

    save_network(tiny_model(), run / "model.keras")
    cell = Cell(("shared_trunk", "fixed_weights"), make_config())
    (tmp_path / "cells" / cell.key).mkdir(parents=True)
    (tmp_path / "cells" / cell.key / "log.txt").symlink_to(tmp_path / "mine.txt")
    monkeypatch.setattr(processes.subprocess, "Popen", lambda *_, **__: pytest.fail("begun"))
    with pytest.raises(OSError, match=r"log\.txt"):
        processes._start(cell, tmp_path, [])
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert not (run / "report.html").is_symlink() and not (run / "model.keras").is_symlink()
