"""A survey: its cells, the processes that run them, and the table."""

import csv
import importlib
import io
import json
import pathlib
import subprocess
import sys
import time

import pytest

from mtl_tf import cli
from mtl_tf.surveys import SURVEYS, grid, processes, tables
from mtl_tf.surveys.survey import survey

BASE = {
    "data": "rendered_rooms",
    "tasks": ("semseg", "depth"),
    "epochs": 1,
    "loss_weights": {"depth": 2.0},
}
ROWS = [("shared_trunk", "fixed_weights"), ("mtan", "dwa")]


def test_cells_are_baselines_and_rows_for_each_seed():
    cells = grid.make_cells(ROWS, [0, 1], BASE)
    assert [cell.row for cell in cells[:4]] == [
        ("single_task", "semseg"),
        ("single_task", "depth"),
        *ROWS,
    ]
    assert len(cells) == 8 and len({cell.key for cell in cells}) == 8
    assert {cell.config.seed for cell in cells[4:]} == {1}
    semseg, depth = cells[0].config, cells[1].config
    assert semseg.tasks == ("semseg",) and semseg.loss_weights == {}
    assert depth.architecture == "single_task" and depth.loss_weights == {}


def test_baselines_have_no_options_of_losses_of_other_tasks():
    options = {"label_smoothing": 0.1, "class_weights": "log", "edge_positive_weight": 0.98}
    base = {"tasks": ("semseg", "depth", "edges"), **options}
    *baselines, whole = grid.make_cells(ROWS[:1], [0], base)
    of_losses = [
        {name: getattr(cell.config, name) for name in options} for cell in (*baselines, whole)
    ]
    none = {"label_smoothing": 0.0, "class_weights": "none", "edge_positive_weight": None}
    semseg = {**options, "edge_positive_weight": None}
    assert of_losses == [semseg, none, {**none, "edge_positive_weight": 0.98}, options]


def test_configurations_that_differ_have_different_keys():
    (first,) = grid.make_cells(ROWS[:1], [0], BASE)[2:]
    (again,) = grid.make_cells(ROWS[:1], [0], dict(reversed(BASE.items())))[2:]
    (other,) = grid.make_cells(ROWS[:1], [0], {**BASE, "learning_rate": 0.5})[2:]
    assert first.key == again.key != other.key


@pytest.mark.parametrize("name", SURVEYS)
def test_named_surveys_are_valid(name):
    chosen = SURVEYS[name]
    base = chosen["base"] | {"root": "folder"}
    cells = grid.make_cells(chosen["rows"], [0], base, chosen.get("alone"))
    assert len({cell.key for cell in cells}) == len({cell.row for cell in cells}) == len(cells)
    assert len(cells) == len(base["tasks"]) + len(chosen["rows"])


@pytest.mark.parametrize(
    ("rows", "seeds", "base", "message"),
    [
        ([], [0], BASE, "rows"),
        (ROWS, [], BASE, "seeds"),
        ([("x", "fixed_weights")], [0], BASE, "x"),
        ([("mtan", "y")], [0], BASE, "y"),
        (ROWS, [0], {**BASE, "z": 1}, "z"),
    ],
)
def test_wrong_surveys_are_told(rows, seeds, base, message):
    with pytest.raises(ValueError, match=message):
        grid.make_cells(rows, seeds, base)


# === Processes ===

RESULTS = {
    "results": {
        "semseg": {"miou": 0.5, "pixel_accuracy": 0.7},
        "depth": {
            "rmse": 0.8,
            "log_rmse": 0.3,
            "abs_error": 0.6,
            "abs_rel": 0.2,
            "delta1": 0.5,
            "delta2": 0.6,
            "delta3": 0.7,
        },
    },
    "environment": {
        "parameters": 2_000_000,
        "multiply_adds": 3_000_000_000,
        "step_ms": 40.0,
        "peak_memory_mib": 500,
    },
}
SCRIPT = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
config = json.loads((folder / "request.json").read_text())
(folder / "config.json").write_text(json.dumps(config))
with (folder / "runs").open("a") as runs:
    runs.write("x")
print("a line of", config["architecture"], flush=True)
if config["architecture"] == ACTION[0]:
    exec(ACTION[1])
results = json.loads(RESULTS)
results["results"] = {task: results["results"][task] for task in config["tasks"]}
relative_to = "single_task" if len(sys.argv) > 2 else "trivial_baseline"
results["kept"] = {"relative_to": relative_to}
(folder / "baselines").write_text(" ".join(sys.argv[2:]))
results["results"].get("depth", {})["rmse"] = 0.8 - 0.1 * (config["architecture"] == "mtan")
(folder / "results.json").write_text(json.dumps(results))
"""


@pytest.fixture
def act(monkeypatch):
    """Cells are run by a script that writes fixed results; one architecture does something else."""

    def set_action(architecture="", code=""):
        text = SCRIPT.replace("ACTION", repr((architecture, code)))
        text = text.replace("RESULTS", repr(json.dumps(RESULTS)))
        command = [sys.executable, "-c", text]
        monkeypatch.setattr(
            processes, "command_of", lambda folder, runs: [*command, str(folder), *map(str, runs)]
        )

    monkeypatch.setattr(processes, "_POLL_S", 0.05)
    monkeypatch.setattr(  # there is no network to show
        importlib.import_module("mtl_tf.surveys.survey"),
        "write_survey_report",
        lambda path, outcomes, rows, left=0: path.write_text(f"{left} left"),
    )
    set_action()
    return set_action


def times_run(out):
    return [len(path.read_text()) for path in sorted(pathlib.Path(out).glob("cells/*/runs"))]


@pytest.mark.usefixtures("act")
def test_results_of_another_configuration_are_not_taken(tmp_path):
    survey(tmp_path, ROWS[:1], [0], BASE, tell=lambda line: None)
    folder = tmp_path / "cells" / grid.make_cells(ROWS[:1], [0], BASE)[-1].key
    changed = json.loads((folder / "config.json").read_text()) | {"learning_rate": 0.5}
    (folder / "config.json").write_text(json.dumps(changed))
    survey(tmp_path, ROWS[:1], [0], BASE, tell=lambda line: None)
    assert sorted(times_run(tmp_path)) == [1, 1, 1, 1]
    old = folder.with_name(f"{folder.name}.old1")
    assert json.loads((old / "config.json").read_text()) == changed
    assert json.loads((folder / "config.json").read_text())["learning_rate"] == 5e-4


@pytest.mark.usefixtures("act")
def test_a_damaged_configuration_ends_nothing(tmp_path):
    survey(tmp_path, ROWS[:1], [0], BASE, tell=lambda line: None)
    for path in tmp_path.glob("cells/*/config.json"):
        path.write_text("{")
    assert survey(tmp_path, ROWS[:1], [0], BASE, tell=lambda line: None) == []
    assert times_run(tmp_path) == [1] * 6  # three of them out of the way


def test_rows_are_compared_with_the_networks_of_their_seed(tmp_path, act):
    base = {**BASE, "best_of": 2}
    cells = grid.make_cells(ROWS[:1], [0, 1], base)
    assert survey(tmp_path, ROWS[:1], [0, 1], base, workers=3, tell=lambda line: None) == []
    for semseg, depth, row in (cells[:3], cells[3:]):
        told = (tmp_path / "cells" / row.key / "baselines").read_text().split()
        assert [pathlib.Path(folder).name for folder in told] == [semseg.key, depth.key]
        assert not (tmp_path / "cells" / depth.key / "baselines").read_text()


def test_a_row_without_its_networks_is_trained_again_when_they_are_there(tmp_path, act):
    base = {**BASE, "best_of": 2}
    *_, row = grid.make_cells(ROWS[:1], [0], base)
    act("single_task", "sys.exit(1)")
    assert len(survey(tmp_path, ROWS[:1], [0], base, tell=lambda line: None)) == 2
    results = tmp_path / "cells" / row.key / "results.json"
    assert json.loads(results.read_text())["kept"]["relative_to"] == "trivial_baseline"
    assert len(survey(tmp_path, ROWS[:1], [0], base, tell=lambda line: None)) == 2
    assert len(list(results.parent.parent.glob(f"{row.key}*"))) == 1  # nothing better to do yet
    act()
    assert survey(tmp_path, ROWS[:1], [0], base, tell=lambda line: None) == []
    assert json.loads(results.read_text())["kept"]["relative_to"] == "single_task"


@pytest.mark.usefixtures("act")
def test_a_cell_is_there_once(tmp_path):
    rows = [("mtan", "pcgrad"), ("mtan", "PCGrad")]
    cells = grid.make_cells(rows, [0, 0], BASE)
    assert [cell.row[0] for cell in cells] == ["single_task", "single_task", "mtan"]


def test_options_of_the_user_override_those_of_rows_and_networks():
    rows = [("shared_trunk", "dwa"), ("mtan + more", "dwa", {"architecture": "mtan", "epochs": 7})]
    always = {"epochs": 3, "architecture_options": {"modulation": True}, "root": "/somewhere"}
    *alone, first, second = grid.make_cells(rows, [0], BASE, {"epochs": 5}, always)
    assert [cell.config.epochs for cell in (*alone, first, second)] == [3, 3, 3, 3]
    assert alone[0].config.architecture_options == {}
    assert second.config.architecture_options == {"modulation": True}
    assert second.row == ("mtan + more", "dwa") and second.config.architecture == "mtan"
    moved = grid.make_cells(rows, [0], BASE, {"epochs": 5}, always | {"root": "/elsewhere"})
    assert [cell.key for cell in moved] == [cell.key for cell in (*alone, first, second)]


@pytest.mark.usefixtures("act")
@pytest.mark.parametrize("workers", [1, 3])
def test_a_second_run_does_nothing(tmp_path, workers):
    told = []
    assert survey(tmp_path, ROWS, [0], BASE, None, None, workers, tell=told.append) == []
    assert times_run(tmp_path) == [1] * 4
    assert told[0] == "4 cells, 0 of them finished before"
    assert sum(line.startswith("done") for line in told) == 4
    table = (tmp_path / "table.md").read_text()
    told.clear()
    assert survey(tmp_path, ROWS, [0], BASE, None, None, workers, tell=told.append) == []
    assert told == ["4 cells, 4 of them finished before"]
    assert times_run(tmp_path) == [1] * 4 and (tmp_path / "table.md").read_text() == table
    survey(tmp_path, ROWS, [0, 1], BASE, None, None, workers, tell=told.append)
    assert times_run(tmp_path) == [1] * 8


@pytest.mark.parametrize(
    ("code", "limits", "message"),
    [
        ("raise ValueError('no luck')", {}, "code 1"),
        ("sys.exit(0)", {}, "code 0"),
        ("time.sleep(60)", {"time_limit_s": 1.0}, "longer than"),
        ("held = bytearray(400 << 20); time.sleep(60)", {"memory_limit_mib": 200}, "memory"),
    ],
)
def test_a_cell_that_fails_is_reported_and_the_rest_goes_on(tmp_path, act, code, limits, message):
    act("shared_trunk", code)
    told = []
    (problem,) = survey(tmp_path, ROWS, [0], BASE, tell=told.append, **limits)
    assert "shared_trunk, fixed_weights, seed 0" in problem and message in problem
    assert "a line of shared_trunk" in problem
    assert problem in told and sum(line.startswith("FAILED") for line in told) == 1
    table = (tmp_path / "table.md").read_text()
    assert "mtan" in table and "shared_trunk" not in table
    act()
    assert survey(tmp_path, ROWS, [0], BASE, tell=told.append) == []
    assert sorted(times_run(tmp_path)) == [1, 1, 1, 2]


def test_a_survey_that_is_killed_takes_its_cells_along(tmp_path, act):
    act(
        "single_task", "(folder / 'pid').write_text(str(__import__('os').getpid())); time.sleep(60)"
    )
    child = processes.command_of(pathlib.Path("FOLDER"), ())
    code = (
        "import pathlib, sys\n"
        "from mtl_tf.surveys import SURVEYS, grid, processes\n"
        f"processes.command_of = lambda folder, baselines: [*{child[:-1]!r}, str(folder)]\n"
        f"processes.run_cells(grid.make_cells({ROWS!r}, [0], {BASE!r}), pathlib.Path(sys.argv[1]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while not (found := list(tmp_path.glob("cells/*/pid"))) or not found[0].read_text():
        time.sleep(0.1)
        assert parent.poll() is None
    parent.kill()
    parent.wait()
    status = pathlib.Path(f"/proc/{found[0].read_text()}/status")
    for _ in range(100):
        if not status.exists() or "zombie" in status.read_text():
            return
        time.sleep(0.1)
    raise AssertionError("the cell lives on")


def test_bad_limits_are_told(tmp_path):
    for wrong in ({"workers": 0}, {"time_limit_s": 0}, {"memory_limit_mib": -1}):
        with pytest.raises(ValueError, match="positive"):
            survey(tmp_path, ROWS, [0], BASE, **wrong)


# === Tables ===


@pytest.mark.usefixtures("act")
def test_the_table_by_hand(tmp_path):
    survey(tmp_path, ROWS, [0, 1], BASE, tell=lambda line: None)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0] == (
        "| architecture | balancing | semseg mean IoU ↑ | depth RMSE ↓ | Δm, % ↑ | parameters, M | "
        "GMACs | step, ms | memory, MiB |"
    )
    assert lines[2].startswith(
        "| single_task |  | **50.0 % ± 0.0 %** | 0.800 m ± 0.000 m |  | 4.0 | 6.00 | 80 |"
    )
    assert (
        "| mtan | dwa | **50.0 % ± 0.0 %** | **0.700 m ± 0.000 m** | **+6.25 ± 0.00** |"
        in (lines[4])
    )
    assert lines[3].split("|")[5].strip() == "+0.00 ± 0.00"
    latex = (tmp_path / "table.tex").read_text()
    assert r"single\_task &  & \textbf{50.0 \% $\pm$ 0.0 \%}" in latex
    assert latex.count(r"\\") == 4 and latex.startswith(r"\begin{tabular}{llrrrrrrr}")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    (one,) = [
        r for r in rows if (r["architecture"], r["seed"], r["metric"]) == ("mtan", "1", "rmse")
    ]
    assert float(one["value"]) == pytest.approx(0.7)


@pytest.mark.usefixtures("act")
def test_without_all_baselines_there_is_no_delta(tmp_path):
    survey(tmp_path, ROWS, [0], BASE, tell=lambda line: None)
    cells = grid.make_cells(ROWS, [0], BASE)
    outcomes = [
        processes.Outcome(
            cell, tmp_path / "cells" / cell.key, "it broke" * (cell.row[1] == "depth")
        )
        for cell in cells
    ]
    rows = tables.collect(outcomes)
    assert [row.delta for row in rows] == [{}, {}, {}]
    assert "Δm" in tables.as_markdown(rows)
    assert tables.collect([]) == []


@pytest.mark.usefixtures("act")
def test_the_command_line(tmp_path, capsys):
    (tmp_path / "base.json").write_text(json.dumps(BASE))
    arguments = ["survey", "--config", str(tmp_path / "base.json"), "--out", str(tmp_path / "out")]
    arguments += ["--architectures", "shared_trunk,mtan", "--balancings", "fixed_weights,dwa"]
    assert cli.main([*arguments, "--seeds", "0,1"]) == 0
    assert len(times_run(tmp_path / "out")) == 12
    assert "| mtan | dwa |" in capsys.readouterr().out
    assert cli.main([*arguments, "--seeds", "one"]) == 2
    assert cli.main(["survey", "--out", str(tmp_path / "none")]) == 2
    assert "rows" in capsys.readouterr().err


@pytest.mark.slow
def test_real_cells(tmp_path):
    base = {**BASE, "height": 32, "width": 64, "train_size": 8, "val_size": 3, "batch_size": 4}
    told = []
    assert survey(tmp_path, ROWS[:1], [0], base, tell=told.append) == []
    table = (tmp_path / "table.md").read_text()
    assert "shared_trunk" in table and "single_task" in table
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/webp") == 3 * 2 * (1 + 3)  # image, target, two networks
    assert page.count("<svg") == 3 + 4  # gains; metric and loss of each task
    assert "http" not in page.replace("http://www.w3", "").replace("http-equiv", "")
    assert page.count('href="cells/') == 3
    assert survey(tmp_path, ROWS[:1], [0], base, tell=told.append) == []
    assert told[-1] == "3 cells, 3 of them finished before"
