"""The report of a run: images of another size than the input, its files, what it shows first."""

import base64
import json
import re

import numpy as np
import pytest
import yaml

from mtl_tf import cli, experiments
from mtl_tf.experiments.outputs.report import _examples
from tests.helpers.cell_folder import DESCRIPTION, write_cells


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on images that are larger than the input of the network."""
    root = tmp_path_factory.mktemp("cells")
    write_cells(root, 8)
    (root / "data.yaml").write_text(yaml.safe_dump(DESCRIPTION))
    config = experiments.make_config(
        data="folder", root=str(root), tasks=tuple(DESCRIPTION["tasks"]), height=32, width=64,
        epochs=1, batch_size=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "cells"
    return folder, experiments.run(config, folder, progress=experiments.Silent())


def test_it_has_all_its_files(run):
    folder, _ = run
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "report.md", "results.csv", "results.tex", "MODEL_CARD.md"} <= names
    assert {"diagnostics.json", "images.npz", "epochs"} <= names
    page = (folder / "report.html").read_text()
    for task in DESCRIPTION["tasks"]:
        assert f"{task} error, worst" in page or f"{task} error, best" in page
    assert "mtl-tf train --data folder" in page and "6 for training" in page


def test_the_page_tells_no_folder_of_the_machine(run):
    folder, summary = run
    root = summary["config"]["root"]
    page = (folder / "report.html").read_text()
    files = re.findall(r' href="data:(?:text|application)/[^,]*base64,([^"]*)"', page)
    decoded = [base64.b64decode(text).decode() for text in files]
    assert len(decoded) == 3 and root not in page
    assert not any(root in text for text in decoded)


def test_it_is_evaluated_again_with_the_edge_benchmark(run, capsys):
    folder, _ = run
    assert cli.main(["evaluate", str(folder), "--edge-tolerance", "0.02", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert "ods_f" in results["border"]
    assert "ODS F" in (folder / "report.html").read_text()


def test_the_best_image_comes_first_and_the_others_are_spread():
    scores = {"a": np.arange(100.0), "b": np.where(np.arange(100) == 98, 5.0, np.nan)}
    chosen = _examples(scores, {"a": True, "b": None})
    assert chosen == [99, 0, 19, 39, 59, 79]
    assert _examples({"a": np.array([1.0, 2.0])}, {"a": False}) == [0, 1]
