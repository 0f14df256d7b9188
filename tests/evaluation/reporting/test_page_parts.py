"""Colours, figures, tables as files, and learning curves of the pages."""

import csv
import io
import re
import xml.etree.ElementTree as ET

import pytest

import mtl_tf as mtl
from mtl_tf.evaluation.reporting import learning_curves, plots, table_files
from mtl_tf.evaluation.reporting.palette import COLOURS, method_colours_of, task_colours_of
from mtl_tf.tasks import as_tasks

SCHEMES = {"light": "#ffffff", "dark": "#14171c"}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("paper", SCHEMES.values(), ids=SCHEMES)
def test_lines_are_visible_on_both_papers(paper):
    assert len(set(COLOURS)) == len(COLOURS)
    assert all(contrast(colour, paper) >= 3.0 for colour in COLOURS)


def test_a_task_has_one_colour_whatever_stands_beside_it():
    alone = task_colours_of(["depth"])["depth"]
    for others in (["semseg"], ["a", "b", "c"], list(mtl.TASKS)):
        colours = task_colours_of([*others, "depth"])
        assert colours["depth"] == alone and len(set(colours.values())) == len(colours)


def test_methods_have_different_colours_that_stay():
    rows = [f"trunk, {name}" for name in ("pcgrad", "dwa", "mgda", "uncertainty", "gradnorm")]
    colours = method_colours_of(rows)
    assert len(set(colours.values())) == 5 and method_colours_of(rows) == colours
    assert len(method_colours_of(map(str, range(40)))) == 40  # more than there are colours


def test_a_figure_is_one_element_with_its_numbers():
    figure = plots.curve("Loss <x>", {"a & b": [2.0, 1.5, 1.0], "_c": [1, 1, 1]}, "loss")
    tree = ET.fromstring(figure.svg)
    assert tree.tag.endswith("svg") and tree.get("role") == "img"
    assert "a & b 2 to 1" in tree.get("aria-label")
    assert "currentColor" in figure.svg and " a & b" not in figure.svg
    assert not re.search(r'<(g|svg)[^>]* (id|height)="', figure.svg)
    assert "max-width:" in tree.get("style")


def test_curves_of_each_task_are_apart():
    tasks = as_tasks({"semseg": 3, "depth": 1})
    epoch = {"semseg_loss": 2.0, "val_semseg_loss": 3.0, "depth_loss": 1.0, "loss": 3.0}
    epoch |= {"val_semseg_miou": 0.25, "learning_rate": 0.1, "semseg_weight": 1.0}
    history = [epoch, epoch | {"val_semseg_miou": 0.5}]
    (metric,) = learning_curves.metric_curves(history, tasks)
    assert "validation 25 to 50" in metric.alt and metric.title.startswith("semseg: mean IoU")
    losses = learning_curves.loss_curves(history, tasks)
    assert [figure.title for figure in losses] == ["semseg: loss", "depth: loss"]
    titles = [f.title for f in learning_curves.balancing_curves(history, ["semseg", "depth"])]
    assert titles == ["Weight of each task's loss or gradient", "Learning rate"]
    assert learning_curves.loss_curves([], tasks) == []


def test_csv_holds_texts_as_texts():
    text = table_files.csv_table(["a", "b"], [["=1+1", 2.5], ["two\nlines, and a comma", -1]])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [["a", "b"], ["'=1+1", "2.5"], ["two lines, and a comma", "-1"]]


def test_latex_is_escaped():
    assert table_files.in_latex("50 % of a_b ± 1 ↑") == r"50 \% of a\_b $\pm$ 1 $\uparrow$"
    table = table_files.latex_table(["x", "y %"], [["a", "1"]], 1)
    assert table.splitlines()[0] == r"\begin{tabular}{lr}" and r"y \% \\" in table
