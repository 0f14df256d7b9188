"""The search: its first trial, its range, its journal, and what becomes of trials that fail."""

import importlib
import json
import math
import sys

import pytest

from mtl_tf import cli, experiments
from mtl_tf.experiments.config import read_config
from mtl_tf.surveys import processes
from mtl_tf.surveys.tune import tune

pytest.importorskip("optuna")
tune_module = importlib.import_module("mtl_tf.surveys.tune")
BASE = {"tasks": ("semseg", "depth"), "learning_rate": 1e-3, "loss_weights": {"depth": 2.0}}
# The score is best at a learning rate of 3e-3 and a weight of 0.5.
SCRIPT = """
import json, math, pathlib, sys
folder = pathlib.Path(sys.argv[1])
config = json.loads((folder / "request.json").read_text())
(folder / "config.json").write_text(json.dumps(config))
(folder / "baselines").write_text(" ".join(sys.argv[2:]))
rate, weight = config["learning_rate"], config["loss_weights"]["depth"]
if FAILS:
    sys.exit("diverged")
score = -abs(math.log(rate / 3e-3)) - abs(math.log(weight / 0.5))
results = {"results": {}, "kept": {"score": score}, "best_of": config["best_of"]}
(folder / "results.json").write_text(json.dumps(results))
"""


@pytest.fixture(autouse=True)
def scores(monkeypatch):
    def fail_if(condition):
        text = SCRIPT.replace("FAILS", condition)
        monkeypatch.setattr(
            processes,
            "command_of",
            lambda folder, baselines: [
                sys.executable,
                "-c",
                text,
                str(folder),
                *map(str, baselines),
            ],
        )

    monkeypatch.setattr(processes, "_POLL_S", 0.02)
    fail_if("False")
    return fail_if


def searched(out, trials, **values):
    told = []
    config = experiments.make_config(**BASE)
    return tune(config, out, trials, tell=told.append, **values), told


def test_it_begins_with_the_given_values_and_finds_better_ones(tmp_path):
    best, told = searched(tmp_path, 12)
    assert len(told) == 13 and told[0].startswith("trial 0: ")
    assert "learning_rate 0.001, depth_weight 2" in told[0]
    first = -math.log(3) - math.log(4)
    score = -abs(math.log(best.learning_rate / 3e-3)) - abs(
        math.log(best.loss_weights["depth"] / 0.5)
    )
    assert score > first
    assert best.loss_weights.keys() == {"depth"}  # the first task's weight stays
    assert read_config(tmp_path / "best.json") == best
    rows = (tmp_path / "trials.md").read_text().splitlines()[2:]
    values = [float(row.split("|")[2]) for row in rows]
    assert values == sorted(values, reverse=True) and values[0] == pytest.approx(
        100 * score, abs=0.01
    )
    for path in tmp_path.glob("cells/*/config.json"):
        config = read_config(path)
        assert 1e-4 <= config.learning_rate <= 1e-2 and 0.2 <= config.loss_weights["depth"] <= 20
        assert config.best_of == 2


def test_a_second_run_does_nothing_and_a_longer_one_goes_on(tmp_path):
    searched(tmp_path, 3)
    _, told = searched(tmp_path, 3)
    assert len(told) == 1 and told[0].startswith("best")
    _, told = searched(tmp_path, 5)
    assert [line.split(":")[0] for line in told] == ["trial 3", "trial 4", "best"]
    assert len(list(tmp_path.glob("cells/*"))) == 5


def test_failed_trials_count_and_the_search_goes_on(tmp_path, scores):
    scores("rate == 1e-3")
    best, told = searched(tmp_path, 3)
    assert best.learning_rate != 1e-3 and len(told) == 4
    assert told[0].startswith("trial 0 failed") and "diverged" in told[0]


def test_without_a_finished_trial_the_logs_are_named(tmp_path, scores):
    scores("True")
    with pytest.raises(ValueError, match=r"No trial.*cells"):
        searched(tmp_path, 2)


def test_baselines_are_handed_on_and_belong_to_the_study(tmp_path):
    for task in ("semseg", "depth"):
        (tmp_path / task).mkdir()
        results = {"results": {task: {"main": 1.0}}}
        (tmp_path / task / "results.json").write_text(json.dumps(results))
    out, runs = tmp_path / "out", [tmp_path / "semseg", tmp_path / "depth"]
    searched(out, 1, baseline=runs)
    (path,) = out.glob("cells/*/baselines")
    assert path.read_text() == f"{tmp_path / 'semseg'} {tmp_path / 'depth'}"
    with pytest.raises(ValueError, match="baseline"):
        searched(out, 2)
    searched(out, 2, baseline=runs)


class KilledError(Exception):
    """What ends a search in a test."""


def test_a_killed_trial_is_taken_up_again(tmp_path, monkeypatch):
    def killed(cells, *arguments):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(tune_module, "run_cells", killed)
        with pytest.raises(KilledError):
            searched(tmp_path, 2)
    _, told = searched(tmp_path, 2)
    assert len(told) == 3 and "learning_rate 0.001, depth_weight 2" in told[0]


def test_a_run_without_a_score_is_a_failed_trial(tmp_path, monkeypatch):
    text = SCRIPT.replace("FAILS", "False").replace('{"score": score}', '{"score": None}')
    monkeypatch.setattr(
        processes, "command_of", lambda folder, runs: [sys.executable, "-c", text, str(folder)]
    )
    with pytest.raises(ValueError, match="No trial"):
        searched(tmp_path, 2)


def test_a_study_is_of_one_configuration(tmp_path):
    searched(tmp_path, 1)
    with pytest.raises(ValueError, match="another configuration"):
        tune(experiments.make_config(**BASE, epochs=3), tmp_path, 2)


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({}, {"search": ("epochs",)}),
        ({}, {"trials": 0}),
        ({}, {"search": ()}),
        ({"tasks": ("depth",), "loss_weights": {}}, {"search": ("loss_weights",)}),
    ],
)
def test_bad_searches_are_told(tmp_path, values, arguments):
    config = experiments.make_config(**{**BASE, **values})
    with pytest.raises(ValueError, match="search"):
        tune(config, tmp_path, **{"trials": 1, **arguments})


def test_the_command_line(tmp_path, capsys):
    (tmp_path / "row.yaml").write_text("tasks: [semseg, depth]\nloss_weights: {depth: 2}\n")
    arguments = ["tune", "--config", str(tmp_path / "row.yaml"), "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--trials", "2", "--learning-rate", "1e-3"]) == 0
    printed = capsys.readouterr().out
    assert "| trial | score, % | learning_rate | depth_weight |" in printed
    assert json.loads((tmp_path / "out" / "best.json").read_text())["tasks"] == ["semseg", "depth"]


@pytest.mark.slow
def test_real_trials(tmp_path, monkeypatch):
    monkeypatch.undo()
    config = experiments.make_config(
        **BASE, height=32, width=64, train_size=8, val_size=3, batch_size=4, epochs=2
    )
    told = []
    best = tune(config, tmp_path, 2, search=("learning_rate",), tell=told.append)
    assert len(told) == 3 and best.loss_weights == {"depth": 2.0}
    results = [json.loads(p.read_text()) for p in tmp_path.glob("cells/*/results.json")]
    scores = [result["kept"]["score"] for result in results]
    assert len(scores) == 2 and f"best: {100 * max(scores):+.2f} %" in told[-1]
