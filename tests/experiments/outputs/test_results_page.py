"""Stored results and the page made from them: what a run measured, without folders of a machine."""

import json
import pathlib

import pytest

import mtl_tf as mtl
from mtl_tf import experiments
from mtl_tf.experiments.outputs.results_page import main, results_page, stored_results

FOLDER = pathlib.Path(__file__).parents[3] / "docs" / "results"
RUNS = (path for path in FOLDER.glob("*.json") if "config" in json.loads(path.read_text()))
STORED = sorted(RUNS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = experiments.make_config(
        tasks=("semseg", "depth"), height=32, width=48, train_size=8, val_size=2, epochs=2,
        batch_size=4,
    )  # fmt: skip
    return folder, experiments.run(config, folder, progress=experiments.Silent())


def test_a_run_is_stored_and_becomes_a_page(run, tmp_path):
    folder, summary = run
    text = main(folder)
    stored = json.loads(text)
    assert stored["results"] == summary["results"]
    assert "root" not in stored["config"] and "native_ops" not in stored["environment"]
    assert str(folder) not in text
    (tmp_path / "tiny.json").write_text(text)
    page = main(tmp_path / "tiny.json")
    miou, rmse = summary["results"]["semseg"]["miou"], summary["results"]["depth"]["rmse"]
    for part in (
        "mtl-tf train --tasks semseg,depth --height 32", f"| semseg | miou | {100 * miou:.1f} % |",
        f"| depth | rmse | {rmse:.3f} m |", "billion multiply-adds", "| 1 | ", "| 2 | ",
        f"{summary['environment']['training_s'] / 60:.1f} minutes",
    ):  # fmt: skip
        assert part in page


def test_the_model_card_of_the_run(run):
    folder, summary = run
    card = (folder / "MODEL_CARD.md").read_text()
    assert "2 epochs in" in card and f"{100 * summary['results']['semseg']['miou']:.1f} %" in card
    assert [t.name for t in mtl.from_preset(folder).tasks] == ["semseg", "depth"]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_the_docs_show_is_the_preset(path):
    stored = json.loads(path.read_text())
    preset = experiments.make_config(path.stem, root="folder").identity()
    assert stored["config"] == preset
    assert results_page(path).startswith("```\nmtl-tf train ")


def test_only_what_the_page_needs_is_stored(run):
    _, summary = run
    for epoch in stored_results(summary)["history"]:
        assert all(name.startswith("val_") or name in ("epoch_s", "step_ms") for name in epoch)
