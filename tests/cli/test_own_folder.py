"""A folder of one's own from the command line: draft, check, train, evaluate, predict."""

import json
import re

import pytest
import yaml
from PIL import Image

from mtl_tf import cli
from mtl_tf.experiments import make_config
from tests.helpers.cell_folder import DESCRIPTION, write_cells

NAMES = list(DESCRIPTION["tasks"])


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    root = tmp_path_factory.mktemp("cells")
    write_cells(root)
    (root / "data.yaml").write_text(yaml.safe_dump(DESCRIPTION, sort_keys=False))
    return root


@pytest.fixture(scope="module")
def finished(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "run"
    options = ["--batch-size", "4", "--epochs", "1", "--quiet"]
    train = ["train", "--data", "folder", "--root", str(cells), *options]
    assert cli.main([*train, "--out", str(folder)]) == 0
    return folder


def test_init_and_check(tmp_path, capsys):
    write_cells(tmp_path)
    assert cli.main(["data", "init", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "data.yaml") in printed and "semseg: class ids up to 2" in printed
    assert f"mtl-tf data check {tmp_path}" in printed
    sheet = tmp_path / "sheet.png"
    assert cli.main(["data", "check", str(tmp_path), "--sheet", str(sheet)]) == 0
    printed = capsys.readouterr().out
    assert "8 images, 0 broken" in printed and "distance" in printed and sheet.is_file()
    assert cli.main(["data", "init", str(tmp_path)]) == 2
    assert "exists: edit it, or replace it with --force" in capsys.readouterr().err
    assert cli.main(["data", "init", str(tmp_path), "--force"]) == 0


def test_check_names_what_is_damaged(tmp_path, capsys):
    write_cells(tmp_path)
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(DESCRIPTION, sort_keys=False))
    (tmp_path / "photos" / "zelle 4.png").write_bytes(b"")
    Image.new("L", (64, 48), 7).save(tmp_path / "classes" / "zelle 5.png")
    sheet = str(tmp_path / "sheet.png")
    assert cli.main(["data", "check", str(tmp_path), "--sheet", sheet]) == 1
    printed = capsys.readouterr()
    assert "8 images, 2 broken" in printed.out
    assert "zelle 4.png is damaged" in printed.err and "zelle 5.png holds 7" in printed.err


def test_a_run_has_the_tasks_of_the_folder(finished):
    summary = json.loads((finished / "results.json").read_text())
    assert list(summary["results"]) == list(summary["baseline"]) == NAMES
    config = json.loads((finished / "config.json").read_text())
    assert config["tasks"] == NAMES and (config["height"], config["width"]) == (32, 64)
    assert "round" in (finished / "report.html").read_text()
    assert "rgb(200,0,0)" in (finished / "report.html").read_text()


def test_evaluate_and_compare(finished, capsys):
    before = json.loads((finished / "results.json").read_text())
    assert cli.main(["evaluate", str(finished)]) == 0
    printed = json.loads(capsys.readouterr().out)
    for task, metrics in before["results"].items():
        assert printed[task] == pytest.approx(metrics, rel=1e-4, abs=1e-6)
    assert cli.main(["compare", str(finished), str(finished), "--resamples", "20"]) == 0
    assert "cells" in capsys.readouterr().out


def test_predict(finished, cells, tmp_path):
    photo = str(cells / "photos" / "zelle 1.JPG")
    out = tmp_path / "maps"
    assert cli.main(["predict", photo, "--model", str(finished), "--out", str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {f"zelle 1_{name}.png" for name in NAMES}
    with Image.open(out / "zelle 1_cells.png") as picture:
        colours = {colour for _, colour in picture.getcolors()}
    assert colours <= {(0, 0, 0), (200, 0, 0), (0, 0, 200)}


def test_options_of_the_user_precede_those_of_the_folder(cells):
    config = make_config(
        "quick", data="folder", root=str(cells), tasks=("border", "cells"), height=48
    )
    assert config.tasks == ("border", "cells") and (config.height, config.width) == (48, 64)
    assert config.weights == "imagenet"  # of the preset
    assert config.loss_weights == {"border": 10.0}  # that of edges, which are of the same kind
    assert make_config("quick", data="folder", root=str(cells), loss_weights={}).loss_weights == {}
    absent = make_config(data="folder", root=str(cells / "absent"), tasks=("anything",))
    assert absent.tasks == ("anything",)  # the configuration of an old run can be read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "cells,nuclei"], "nuclei"),
        (["--root", "absent"], "data.yaml is missing|is no folder|absent"),
        (["--loss-weights", '{"nuclei": 2}'], "loss_weights"),
    ],
)
def test_errors(arguments, message, cells, tmp_path, capsys):
    train = ["train", "--data", "folder", "--root", str(cells), "--out", str(tmp_path / "run")]
    assert cli.main([*train, *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
def test_pack_survey_and_tune(cells, tmp_path):
    assert cli.main(["data", "pack", str(cells), str(tmp_path / "packed")]) == 0
    options = tmp_path / "options.json"
    options.write_text('{"batch_size": 4, "epochs": 1, "height": 32, "width": 64}')
    for name, root in (("folder", cells), ("packed", tmp_path / "packed")):
        data = ["--data", name, "--root", str(root), "--config", str(options)]
        survey = ["survey", "--architectures", "shared_trunk", *data, "--tasks", "cells,distance"]
        assert cli.main([*survey, "--out", str(tmp_path / f"survey {name}")]) == 0
        table = (tmp_path / f"survey {name}" / "table.md").read_text()
        assert "cells mean IoU ↑" in table and "distance mean absolute error ↓" in table
    pytest.importorskip("optuna")
    tune = ["tune", *data, "--tasks", "cells,distance", "--trials", "1", "--search", "loss_weights"]
    assert cli.main([*tune, "--out", str(tmp_path / "tune")]) == 0
    assert "distance" in json.loads((tmp_path / "tune" / "best.json").read_text())["loss_weights"]
