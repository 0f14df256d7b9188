"""The epoch that is kept, and the reference of Delta-m."""

import json
import subprocess
import types

import pytest

from mtl_tf import experiments
from mtl_tf.experiments import best_epoch, environment

DATASET = types.SimpleNamespace(tasks={"semseg": 13, "depth": 1})


def results_of(folder, results):
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"results": results}))
    return folder


def test_single_task_results_are_read(tmp_path):
    depth = results_of(tmp_path / "a", {"depth": {"rmse": 0.5}})
    semseg = results_of(tmp_path / "b", {"semseg": {"miou": 0.4}})
    results = best_epoch.single_task_results([depth, semseg])
    assert results == {"depth": {"rmse": 0.5}, "semseg": {"miou": 0.4}}
    assert best_epoch.single_task_results([]) == {}


def test_other_folders_are_refused(tmp_path):
    both = results_of(tmp_path / "a", {"depth": {}, "semseg": {}})
    with pytest.raises(ValueError, match="single task"):
        best_epoch.single_task_results([both])
    with pytest.raises(ValueError, match="b is not a finished run"):
        best_epoch.single_task_results([tmp_path / "b"])


@pytest.mark.parametrize(
    ("best_by", "expected"),
    [("delta_m", (0.0 + (0.5 - 0.4) / 0.5) / 2), ("depth", 0.2), ("semseg", 0.0)],
)
def test_the_score(tmp_path, best_by, expected):
    config = experiments.make_config(
        tasks=("semseg", "depth"), best_of=3, epochs=5, best_by=best_by
    )
    reference = {"semseg": {"miou": 0.4}, "depth": {"rmse": 0.5}}
    best = best_epoch.keep_best(config, tmp_path, DATASET, reference)
    results = {"semseg": {"miou": 0.4}, "depth": {"rmse": 0.4}}
    assert best.score(results) == pytest.approx(expected)
    assert best.first_epoch == 2


@pytest.mark.parametrize(("best_of", "first"), [(1, 5), (5, 0), (9, 0)])
def test_number_of_evaluated_epochs(tmp_path, best_of, first):
    config = experiments.make_config(best_of=best_of, epochs=5)
    assert best_epoch.keep_best(config, tmp_path, DATASET, {}).first_epoch == first


def test_the_task_that_decides_is_one_that_is_predicted():
    with pytest.raises(ValueError, match="best_by"):
        experiments.make_config(tasks=("semseg",), best_by="depth")


def test_a_second_run_of_a_task_is_refused(tmp_path):
    runs = [results_of(tmp_path / name, {"depth": {"rmse": 0.5}}) for name in "ab"]
    with pytest.raises(ValueError, match=r"b is a second run of \['depth'\]"):
        best_epoch.single_task_results(runs)


def test_the_state_of_the_source(tmp_path):
    assert environment.source_state(tmp_path) is None

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "__init__.py").write_text("")
    assert environment.source_state(tmp_path) is None  # lies there, but does not belong to it
    git("add", ".")
    git("commit", "-m", "first")
    commit = environment.source_state(tmp_path)
    assert len(commit) == 40
    (tmp_path / "__init__.py").write_text("changed")
    assert environment.source_state(tmp_path) == f"{commit}+"
