"""The command line end to end on tiny rooms, and its errors."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mtl_tf import cli
from mtl_tf.cli import program
from mtl_tf.cli.options import config_from

TINY = [
    "train",
    "--data",
    "rendered_rooms",
    "--height",
    "32",
    "--width",
    "64",
    "--train-size",
    "8",
    "--val-size",
    "3",
    "--batch-size",
    "4",
    "--epochs",
    "2",
    "--tasks",
    "semseg,depth,edges",
    "--loss-weights",
    '{"edges": 10}',
    "--best-of",
    "2",
    "--quiet",
]


def size_of(path):
    """Width and height of a picture."""
    with Image.open(path) as image:
        return image.size


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert cli.main([*TINY, "--out", str(folder)]) == 0
    return folder


def test_train_writes_everything(finished):
    names = {path.name for path in finished.iterdir()}
    assert {
        "config.json",
        "model.keras",
        "classes.json",
        "results.json",
        "report.md",
        "report.html",
    } <= names
    assert not [name for name in names if "unfinished" in name]
    results = json.loads((finished / "results.json").read_text())
    assert list(results["results"]) == ["semseg", "depth", "edges"]
    assert len(results["history"]) == 2
    assert results["config"]["loss_weights"] == {"edges": 10.0}
    kept = results["kept"]
    assert kept["epoch"] in (1, 2) and kept["relative_to"] == "trivial_baseline"
    assert (finished / "best" / f"epoch_{kept['epoch'] - 1:06d}").is_dir()
    assert len(results["environment"]["data"]) == 16 and results["environment"]["numpy"]
    assert f"Kept: epoch {kept['epoch']}, the best of the last 2 by" in (
        (finished / "report.html").read_text()
    )


def test_training_twice_into_one_folder_is_refused_but_resumes(finished, capsys):
    assert cli.main([*TINY, "--out", str(finished)]) == 2
    assert "--resume" in capsys.readouterr().err
    before = json.loads((finished / "results.json").read_text())
    assert cli.main([*TINY, "--out", str(finished), "--resume"]) == 0
    after = json.loads((finished / "results.json").read_text())
    assert after["history"] == before["history"]
    for task, metrics in before["results"].items():
        assert after["results"][task] == pytest.approx(metrics, rel=1e-5)
    assert cli.main([*TINY, "--out", str(finished), "--resume", "--epochs", "3"]) == 2
    assert "epochs: 2 there, 3 now" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("word", ["none", "None", "null"])
def test_none_switches_an_option_of_a_preset_off(word):
    arguments = ["train", "--preset", "quick", "--root", "folder", "--weights", word]
    options = program.whole_parser().parse_args(arguments)
    assert config_from(options)[1].weights is None
    assert config_from(program.whole_parser().parse_args(arguments[:-2]))[1].weights == "imagenet"


def test_evaluate_gives_the_stored_numbers(finished, capsys):
    capsys.readouterr()
    assert cli.main(["evaluate", str(finished)]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((finished / "results.json").read_text())["results"]
    for task, metrics in stored.items():
        assert printed[task] == pytest.approx(metrics, rel=1e-4, abs=1e-6)


def test_predict_writes_a_map_of_each_task_at_the_photos_size(finished, tmp_path, capsys):
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save(photo)
    arguments = ["predict", str(photo), "--model", str(finished / "model.keras")]
    assert cli.main([*arguments, "--out", str(tmp_path / "maps")]) == 0
    for task in ("semseg", "depth", "edges"):
        assert size_of(tmp_path / "maps" / f"photo_{task}.png") == (70, 50)
    photo.write_bytes(photo.read_bytes()[:300])
    assert cli.main(arguments) == 1
    assert "photo.jpg" in capsys.readouterr().err


def test_data_check_lists_every_broken_file_and_draws_a_sheet(data_root, tmp_path, capsys):
    root = tmp_path / "nyud"
    ids = (data_root / "nyud" / "ids.txt").read_text().split()[:12]
    for folder, suffix in (
        ("rgb", "jpg"),
        ("seg40", "png"),
        ("depth", "png"),
        ("edge", "png"),
        ("normal", "jpg"),
    ):
        (root / folder).mkdir(parents=True)
        for i in ids:
            shutil.copy(data_root / "nyud" / folder / f"{i}.{suffix}", root / folder)
    (root / "ids.txt").write_text("\n".join(ids))
    sheet = tmp_path / "sheet.png"
    assert cli.main(["data", "check", str(root), "--sheet", str(sheet)]) == 0
    assert "12 images, 0 broken" in capsys.readouterr().out
    assert size_of(sheet)[0] == 5 * 192
    for i in ids[3:5]:
        damaged = root / "depth" / f"{i}.png"
        damaged.chmod(0o644)
        damaged.write_bytes(damaged.read_bytes()[:500])
    assert cli.main(["data", "check", str(root), "--sheet", str(sheet)]) == 1
    captured = capsys.readouterr()
    assert "2 broken" in captured.out
    assert all(f"{i}.png" in captured.err for i in ids[3:5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--epochs", "0"], "epochs"),
        (["train", "--data", "nyud", "--root", "/nowhere"], "/nowhere"),
        (["evaluate", "/nowhere"], "config.json"),
        (["predict", "x.jpg", "--model", "/nowhere.keras"], "x.jpg"),
        (["data", "check", "/nowhere"], "/nowhere"),
    ],
)
def test_errors_are_one_message_and_exit_code_2(arguments, message, capsys, tmp_path):
    if arguments[0] == "train":
        arguments = [*arguments, "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtl-tf: ")
    assert message in error


def test_a_wrong_root_does_not_spoil_the_folder(tmp_path, data_root, capsys):
    out = ["--out", str(tmp_path / "run"), "--data", "nyud"]
    assert cli.main(["train", *out, "--root", "/nowhere"]) == 2
    assert not (tmp_path / "run").exists()


def test_doctor_and_list(capsys):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "native ops" in printed
    assert "tensorflow" in printed
    assert cli.main(["data", "list"]) == 0
    assert "rendered_rooms" in capsys.readouterr().out


def test_help_has_the_descriptions_of_all_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "--epochs VALUE passes over the training images (default: 12)" in printed
    assert "--num-classes VALUE" in printed and "--out OUT" in printed


def test_evaluate_says_that_it_runs_code(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["evaluate", "--help"])
    assert "Runs the code that config.json names" in " ".join(capsys.readouterr().out.split())
