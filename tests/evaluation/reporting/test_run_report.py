"""The report: files, numbers as people write them, pictures in the usual colours."""

import dataclasses
import json
import re

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf import atomic_files as files
from mtl_tf.evaluation.reporting import run_report as report
from mtl_tf.evaluation.reporting import tables
from tests.evaluation.test_evaluate import perfect
from tests.helpers.inputs import TASKS, batch


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    image, targets, masks = batch()
    results = mtl.evaluation.evaluate(
        lambda image, training: perfect(targets), [(image, targets, masks)], TASKS
    )
    baseline = {t: dict.fromkeys(values, 0.5) for t, values in results.items()}
    epoch = {f"{t}_{kind}": 1.0 for t in TASKS for kind in ("loss", "weight", "gradient_norm")}
    epoch |= {"semseg_depth_cosine": -0.1, "conflicts": 0.5}
    summary = {
        "results": results,
        "baseline": baseline,
        "history": [epoch, epoch],
        "config": {
            "data": "<rooms>",
            "architecture": "a",
            "backbone": "b",
            "balancing": "c",
            "height": 32,
            "width": 64,
        },
        "environment": {"parameters": 1234, "training_s": 60.0, "processors": 2},
    }
    pictures = [
        {
            "image": np.full((32, 64, 3), 128, np.uint8),
            "outputs": {t: v[i] for t, v in perfect(targets).items()},
            "targets": {t: v[i] for t, v in targets.items()},
            "masks": {t: v[i] for t, v in masks.items()},
        }
        for i in range(2)
    ]
    folder = tmp_path_factory.mktemp("report")
    report.write_report(folder, summary, pictures)
    return folder, summary


def test_results_are_the_summary(written):
    folder, summary = written
    assert json.loads((folder / "results.json").read_text()) == summary


def test_page_is_self_contained_escaped_and_described(written):
    page = (written[0] / "report.html").read_text()
    sources = re.findall(r' src="([^"]*)"', page)
    assert len(sources) == 7 + 2 * 13  # the head, and two examples
    assert page.count("<svg") == page.count('role="img" aria-label="') == 1 + 6 + 4
    for title in ("Norm of each", "Cosine between", "in conflict"):
        assert title in page
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r' (href|src)="http', page)
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', page)) == len(sources)
    assert "<rooms>" not in page
    assert "&lt;rooms&gt;" in page
    assert "6 of 6 tasks beat" in page


def test_table_has_every_metric(written):
    folder, summary = written
    table = (folder / "report.md").read_text()
    rows = sum(len(metrics) for metrics in summary["results"].values())
    assert len(table.strip().splitlines()) == rows + 2
    assert "| depth | RMSE ↓ | **0.000 m** | 0.500 m |" in table


@pytest.mark.parametrize(
    ("task", "metric", "value", "text"),
    [
        ("semseg", "miou", 0.2531, "25.3 %"),
        ("depth", "rmse", 1.0071, "1.007 m"),
        ("normals", "rmse", 36.514, "36.51°"),
        ("depth", "log_rmse", 0.4321, "0.432"),
    ],
)
def test_numbers_have_their_units(task, metric, value, text):
    assert tables.formatted(metric, value, task) == text


def test_colours_follow_the_conventions():
    colourise = mtl.evaluation.colourise
    normal = np.array([[[0.0, 0.0, 1.0]]])
    assert colourise("normals", normal).tolist() == [[[128, 128, 255]]]
    semseg = dataclasses.replace(mtl.TASKS["semseg"], channels=2, class_names=("wall", "floor"))
    floor = colourise(semseg, np.array([[[1]]]))
    assert floor.tolist() == [[[152, 223, 138]]]
    scores = np.array([[[0.1, 0.9]]])
    np.testing.assert_array_equal(colourise(semseg, scores), floor)
    near, far = colourise("depth", np.array([[[0.0], [10.0]]]))[0].astype(int)
    assert far.sum() > near.sum()
    masked = colourise("depth", np.ones((1, 2, 1)), mask=np.array([[0, 1]]))
    assert masked[0, 0].tolist() == [0, 0, 0]
    assert masked[0, 1].any()
    with pytest.raises(ValueError, match="colour"):
        colourise("colour", normal)


def test_class_colours_differ():
    from mtl_tf.data.nyudv2.classes import CLASSES_13, CLASSES_40
    from mtl_tf.evaluation.reporting.colours import class_colours

    for names in (CLASSES_13, CLASSES_40, [f"unknown {i}" for i in range(30)]):
        assert len({tuple(c) for c in class_colours(names)}) == len(names)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    files.write_atomically(path, "old")

    def fail(self, content):
        with self.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
