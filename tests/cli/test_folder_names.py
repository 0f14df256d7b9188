"""Folders whose names look like something else: `--root 795` and `root: 20200708` are folders."""

import json
import pathlib
import sys

import pytest

from mtl_tf import cli, surveys
from tests.helpers.nyud_folders import write_pack

NAMES = (
    "795",
    "20200708",
    "0755",
    "1e5",
    "1.50",
    "007",
    "0x1F",
    "true",
    "no",
    "null",
    "NaN",
    "2020-07-08",
    "12:30:45",
    "[1]",
    "{}",
    "-",
    "'a'",
)
IN_YAML = tuple(n for n in NAMES if n not in ("null", "[1]", "{}", "-", "'a'"))  # have to be quoted


@pytest.fixture
def given(monkeypatch, tmp_path):
    """The configurations that the commands make."""
    monkeypatch.chdir(tmp_path)
    configs = []

    def run(config, *_, **__):
        configs.append(config)
        raise RuntimeError("far enough")

    def run_survey(out, rows, seeds, base, alone, always, *_):
        from mtl_tf.surveys.grid import make_cells

        configs.extend(cell.config for cell in make_cells(rows, seeds, base, alone, always))
        return []

    monkeypatch.setattr(sys.modules["mtl_tf.experiments.run"], "run", run)
    monkeypatch.setattr(surveys, "tune", run)
    monkeypatch.setattr(surveys, "survey", run_survey)
    return configs


def arguments_of(command):
    rows = ["--architectures", "shared_trunk"] if command == "survey" else []
    return [command, "--out", "out", *rows]


@pytest.mark.parametrize("command", ["train", "tune", "survey"])
@pytest.mark.parametrize("name", NAMES)
def test_on_the_command_line(command, name, given):
    chosen = ["--preset", "quick"] if command == "tune" else ["--data", "nyud"]
    code = cli.main([*arguments_of(command), *chosen, f"--root={name}"])
    assert code == (0 if command == "survey" else 2)
    assert given and {config.root for config in given} == {str(pathlib.Path(name).resolve())}


@pytest.mark.parametrize("command", ["train", "tune", "survey"])
@pytest.mark.parametrize("name", IN_YAML)
def test_in_yaml(command, name, given, tmp_path):
    (tmp_path / "options.yaml").write_text(f"data: nyud\nroot: {name}\n")
    cli.main([*arguments_of(command), "--config", "options.yaml"])
    assert given and {config.root for config in given} == {str(pathlib.Path(name).resolve())}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["root", "weights"])
def test_quoted_in_yaml_and_json(option, name, given, tmp_path):
    options = json.dumps({"data": "nyud", "root": "x"} | {option: name})
    for file in ("options.yaml", "options.json"):
        (tmp_path / file).write_text(options)
        cli.main(["train", "--out", "out", "--config", file])
    assert [str(getattr(config, option)) for config in given] == [
        str(pathlib.Path(name).resolve())
    ] * 2


@pytest.mark.parametrize("number", ["795", "20200708", "1.5", "true", "1e400"])
def test_numbers_in_json(number, given, tmp_path):
    (tmp_path / "options.json").write_text(f'{{"data": "nyud", "root": {number}}}')
    cli.main(["train", "--out", "out", "--config", "options.json"])
    assert given[0].root == str(pathlib.Path(number).resolve())


@pytest.mark.parametrize("name", ["795", "2020-07-08"])
def test_weights(name, given, tmp_path):
    (tmp_path / "options.yaml").write_text(f"weights: {name}\n")
    cli.main(["train", "--out", "out", "--config", "options.yaml"])
    cli.main(["train", "--out", "out", "--weights", name])
    assert [config.weights for config in given] == [str(pathlib.Path(name).resolve())] * 2


@pytest.mark.parametrize("name", ["795", "0755", "null"])
def test_data_check_reads_that_folder(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pack(tmp_path / name)
    assert cli.main(["data", "check", name, "--num-classes", "40"]) == 0
    assert "4 images, 0 broken" in capsys.readouterr().out
