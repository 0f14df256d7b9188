"""Names from anywhere, in terminals, pages and tables: each place they are shown in."""

from __future__ import annotations

import csv
import html.parser
import io
import pathlib
import re
import sys
import warnings

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.evaluation import comparison
from mtl_tf.evaluation.reporting import pages
from mtl_tf.evaluation.reporting import plots as curves
from mtl_tf.evaluation.reporting import run_report as report
from mtl_tf.evaluation.reporting.colours import class_colours
from mtl_tf.experiments import make_config
from mtl_tf.experiments.terminal import printable, printable_warnings, say
from mtl_tf.surveys import processes, survey_report, tables
from mtl_tf.surveys.grid import Cell
from tests.hostile.outcome import MARKUP, STEERING

# === Terminals ===

COMMANDS = {
    "train, a file of options": ("train", "--config", STEERING),
    "train, a data set": ("train", "--data", STEERING),
    "train, a folder": ("train", "--data", "nyud", "--root", STEERING),
    "train, tasks": ("train", "--tasks", STEERING),
    "train, an architecture": ("train", "--architecture", STEERING),
    "train, a number": ("train", "--epochs", STEERING),
    "train, an option that is none": ("train", f"--{STEERING}"),
    "train, a preset": ("train", "--preset", STEERING),
    "survey": ("survey", "--architectures", STEERING, "--out", "out"),
    "survey, seeds": ("survey", "--preset", "smoke", "--seeds", STEERING, "--out", "out"),
    "tune": ("tune", "--search", STEERING, "--out", "out"),
    "evaluate": ("evaluate", STEERING),
    "compare": ("compare", STEERING, STEERING),
    "predict, a photograph": ("predict", STEERING, "--model", "m.keras"),
    "predict, a model": ("predict", ".", "--model", STEERING),
    "export": ("export", STEERING, "out.onnx"),
    "data check": ("data", "check", STEERING),
    "data check, a name": ("data", "check", ".", "--data", STEERING),
    "data pack": ("data", "pack", STEERING, "out"),
    "data unpack": ("data", "unpack", STEERING, "out"),
    "no command": (STEERING,),
}


@pytest.mark.parametrize("place", COMMANDS)
def test_errors_do_not_steer_the_terminal(place, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    outcome = command(*COMMANDS[place])
    assert outcome.code == 2 and "\\x1b[2J" in outcome.err


def test_an_option_that_is_a_name_of_a_file(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert command("predict", "-rf", "--model", "m.keras").code == 2
    command("predict", "--model", "m.keras", "--", "-rf").assert_refused("-rf is missing")


def test_warnings_and_what_a_terminal_cannot_show(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("Δm \x1b[2J \udcff")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u0394m \\x1b[2J \\udcff\n"
    with printable_warnings():
        text = warnings.formatwarning(STEERING, UserWarning, "a.py", 1, "x")
    assert "\x1b" not in text and "\\x1b[2J" in text
    assert printable("a\tb\n") == "a\tb\n"


def test_the_last_lines_of_a_cell_are_printed_harmlessly(tmp_path, capsys, monkeypatch):
    """What failed repeats its log, whoever wrote into it."""
    cell = Cell(("shared_trunk", "fixed_weights"), make_config())
    monkeypatch.setattr(
        processes,
        "command_of",
        lambda *_: [sys.executable, "-c", f"print({STEERING[:-1]!r}); raise SystemExit(3)"],
    )
    processes.run_cells([cell], tmp_path, time_limit_s=60)
    printed = capsys.readouterr().out
    assert "ended with code 3" in printed and "\\x1b[2J" in printed and "\x1b" not in printed


# === Pages ===


class Page(html.parser.HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.text = text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def assert_harmless(self) -> None:
        own = (pathlib.Path(pages.__file__).parent / "page" / "page.js").read_text()
        assert self.tags.count("script") == 1 and f"<script>\n{own.strip()}</script>" in self.text
        assert not {"iframe", "object", "link", "base", "form", "foreignobject"} & set(self.tags)
        for name, value in self.attributes:
            assert not name.startswith("on"), (name, value)
            if name in ("src", "href", "xlink:href"):
                is_inside = re.match(r"data:(image|text|application)/[\w+-]+;|#", str(value))
                assert is_inside and "html" not in str(value)[:40], value
            if name == "style":  # `url(#...)` names a part of the same drawing
                assert re.fullmatch(r"(url\(#\w+\)|rgb\([\d,]+\)|[\w\s:;.,#'%-])*", str(value))


NAMES = {
    "HTML": MARKUP,
    "an attribute": "' onmouseover='alert(1)' x='",
    "a style": "red;background:url(http://127.0.0.1:9)",
    "a template": "{{ 7 * 7 }}{% raw %}{{ self.__init__.__globals__ }}",
    "a formula of matplotlib": r"$\frac{$ and $x_{$",
    "an underscore first": "_hidden",
    "a comment": "--><!--",
    "a link of Markdown": "[x](javascript:alert(1))",
    "a formula of a spreadsheet": "=cmd|' /C calc'!A0",
    "LaTeX": r"\input{/etc/passwd}\write18{id}",
}


@pytest.mark.parametrize("attack", NAMES)
def test_names_in_the_report_of_a_run(attack, tmp_path):
    import dataclasses

    name = NAMES[attack]
    classes = (name, f"{name} ", "x")
    task = dataclasses.replace(mtl.TASKS["semseg"], name=name, channels=3, class_names=classes)
    epoch = {f"{name}_loss": 1.0, f"{name}_weight": 1.0, f"{name}_a_cosine": 0.1}
    ids = np.zeros((4, 6, 1), np.int32)
    pictures = [
        {
            "image": np.zeros((4, 6, 3), np.uint8),
            "outputs": {name: np.zeros((4, 6, 3))},
            "targets": {name: ids},
            "masks": {name: np.ones((4, 6))},
        }
    ]
    options = dict.fromkeys(("data", "architecture", "backbone", "balancing", "x"), name)
    summary = {
        "results": {name: {"miou": 0.5}},
        "baseline": {name: {"miou": 0.4}},
        "history": [epoch, epoch],
        "config": options | {"height": 4, "width": 6, name: name},
        "environment": {"parameters": 1, "training_s": 1.0, "processors": 1, "source": name},
    }
    path = report.write_report(tmp_path, summary, pictures, [task])
    page = Page(path.read_text())
    page.assert_harmless()
    assert page.tags.count("tr") > 3
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert len(lines) == 3 and len(re.findall(r"(?<!\\)\|", lines[2])) == 5
    assert "<" not in lines[2] and not re.search(r"(?<!\\)[\[`]", lines[2])


@pytest.mark.parametrize("attack", NAMES)
def test_names_in_the_tables_of_a_survey(attack, tmp_path, monkeypatch):
    label = NAMES[attack] + "\n\x1b[2J"
    cell = Cell((label, label), make_config())
    row = tables.Row(
        label,
        label,
        [{"depth": {"rmse": -0.5}}],
        [0],
        {"parameters": 1e6, "step_ms": 2.0},
        {"mean": 0.1, "std": 0.0},
    )
    outcomes = [processes.Outcome(cell, tmp_path, f"{label} ended")]
    delta = comparison.Comparison(label, label, 1, 2, -1, -2, 0, 0.5, None)
    compared = [{"row": label, "images": 3, "delta": delta, "against": label}]
    monkeypatch.setattr(survey_report, "_comparisons", lambda _: compared)
    survey_report.write_survey_report(tmp_path / "report.html", outcomes, [row])
    Page((tmp_path / "report.html").read_text()).assert_harmless()
    markdown = tables.as_markdown([row]).splitlines()
    assert len(markdown) == 3
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown}) == 1
    assert "<" not in markdown[2]
    latex = tables.as_latex([row]).splitlines()
    assert len(latex) == 7
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in latex[2:5:2]}) == 1
    commands = set(re.findall(r"\\([a-zA-Z]+)", latex[4]))
    assert commands <= {
        "textbackslash",
        "textbf",
        "textless",
        "textgreater",
        "textbar",
        "textasciitilde",
        "textasciicircum",
    }
    cells = list(csv.reader(io.StringIO(tables.as_csv([row]))))
    assert {len(line) for line in cells} == {6}
    assert not [c for line in cells for c in line[:-1] if c.startswith(("=", "+", "-", "@"))]
    assert cells[1][-1] == "-0.5"


def test_latex_is_what_latex_takes():
    row = tables.Row("a_b & 5 % {x} $y$ #1 ~ ^ \\", "c", [{"depth": {"rmse": 1.0}}], [0], {}, {})
    shown = r"a\_b \& 5 \% \{x\} \$y\$ \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} &"
    assert tables.as_latex([row]).splitlines()[4].startswith(shown)


def test_names_in_a_comparison():
    one = comparison.Comparison(MARKUP, MARKUP, 1, 2, -1, -2, 0, 0.5, None)
    lines = comparison.as_text([one], 3).splitlines()
    assert len(re.findall(r"(?<!\\)\|", lines[-1])) == 9 and "<" not in lines[-1]


@pytest.mark.parametrize("attack", NAMES)
def test_names_in_plots(attack):
    name = NAMES[attack]
    for figure in (
        curves.curve(name, {name: [1.0, 2.0], "b": [2.0, 3.0]}, name),
        curves.bars(name, {name: {name: 1.0}}, name, {name: "#2f7fd6"}),
        curves.scatter(name, {name: (1.0, 2.0)}, name, name, {name: "#2f7fd6"}),
    ):
        page = Page(figure.svg)
        assert set(page.tags) <= {"svg", "defs", "g", "path", "use", "text", "clippath", "rect"}
        assert not any(attribute.startswith("on") for attribute, _ in page.attributes)


@pytest.mark.parametrize("number", [1, 41, 300])
def test_any_class_names_have_colours(number):
    from mtl_tf.data.nyudv2.classes import CLASSES_40

    names = [*CLASSES_40, *(f"{STEERING}{i}" for i in range(number))]
    assert class_colours(names).shape == (len(names), 3)
    assert class_colours([MARKUP] * number).shape == (number, 3)


def test_no_name_is_run_by_a_shell():
    """Programs are started with lists of arguments."""
    import pathlib

    for path in pathlib.Path(mtl.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "shell=True" not in text and "os.system" not in text, path
