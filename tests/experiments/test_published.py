"""Published numbers are shown for runs of the same protocol only."""

import html
import json
import re

import pytest

from mtl_tf import experiments
from mtl_tf.evaluation.reporting import run_report as report
from mtl_tf.experiments.published import PUBLISHED, published_beside, unlike
from mtl_tf.surveys.survey_report import _published
from mtl_tf.surveys.tables import Row

ROW = "nyud/shared_trunk_hrnet18"
SHORT = {"epochs": 3, "batch_size": 2, "learning_rate": 0.1, "loss_weights": {"depth": 2.0}}
OTHER_PROTOCOLS = {
    "classes": ({"num_classes": 13}, "13 classes instead of 40"),
    "size": ({"height": 96, "width": 128}, "images of 96×128 instead of 480×640"),
    "width": ({"width": 320}, "images of 480×320"),
    "tasks": ({"tasks": ("semseg", "depth", "normals")}, "tasks semseg, depth, normals instead of"),
    "auxiliary tasks": (
        {"tasks": ("semseg", "depth", "edges"), "auxiliary_tasks": ("edges",)},
        "auxiliary tasks",
    ),
    "backbone": ({"backbone": "hrnet_w18"}, "backbone hrnet_w18 instead of hrnet_w18_small_v2"),
    "head": ({"head": "conv"}, "head conv instead of high_resolution"),
    "options": ({"architecture_options": {"modulation": True}}, "modulation True instead of none"),
}


def config_of(**values):
    return experiments.make_config(ROW, root="folder", **values)


def rendered(tmp_path, config):
    """The report of a run of that configuration as HTML and Markdown, without tags."""
    results = {
        task: {"miou": 0.1} if task == "semseg" else {"rmse": 1.0, "log_rmse": 0.2}
        for task in ("semseg", "depth")
    }
    published = published_beside(config)
    summary = {
        "results": results,
        "baseline": results,
        "history": [],
        "config": json.loads(config.to_json()),
        "environment": {"parameters": 1, "training_s": 1.0, "processors": 2},
        **({"published": published} if published else {}),
    }
    report.write_report(tmp_path, summary)
    page = (tmp_path / "report.html").read_text()
    page = page[: page.index('<h2 id="run">')]
    return html.unescape(re.sub(r"<[^>]*>", " ", page)), (tmp_path / "report.md").read_text()


def shares(preset):
    results = PUBLISHED[preset].results
    return [f"{100 * results['semseg']:.1f} %", f"{results['depth']:.3f} m"]


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
def test_nothing_stands_beside_another_protocol(name, tmp_path):
    values, reason = OTHER_PROTOCOLS[name]
    config = config_of(**values)
    published = published_beside(config)
    assert published["results"] == {} and published["delta_m"] is None
    assert reason in published["why_not"]
    every = {
        text
        for preset, row in PUBLISHED.items()
        if preset.startswith("nyud/") and len(row.results) == 2
        for text in shares(preset)
    }
    for text in rendered(tmp_path, config):
        assert f"No published numbers beside these: {published['why_not']}" in text
        assert not any(number in text for number in every)
        assert text.count("ublished") == 1  # that line, no column


def test_a_run_of_the_same_protocol_has_them_with_what_differs_in_training(tmp_path):
    config = config_of(**SHORT)
    published = published_beside(config)
    assert published["why_not"] == "" and published["preset"] == ROW
    assert published["results"] == PUBLISHED[ROW].results
    for text in rendered(tmp_path, config):
        assert all(number in text for number in shares(ROW))
        assert f"Published: {ROW} (Δm -0.75 %)" in text
        for difference in ("backbone not pretrained", "epochs 3 instead of 100", "depth 2 instead"):
            assert difference in text


def test_every_row_may_stand_beside_itself():
    for name in PUBLISHED:
        assert unlike(experiments.make_config(name, root="folder"), name) == []


def test_the_presets_that_users_begin_with_have_none(tmp_path):
    quick = experiments.make_config("quick", root="folder")
    published = published_beside(quick)
    assert published["results"] == {} and "13 classes instead of 40" in published["why_not"]
    assert published_beside(experiments.make_config("demo")) is None
    for text in rendered(tmp_path, experiments.make_config("demo")):
        assert "ublished" not in text


def test_without_a_like_method_or_data_there_is_no_row():
    assert published_beside(config_of(balancing="pcgrad")) is None
    assert published_beside(config_of(architecture="branched")) is None
    assert published_beside(experiments.make_config(data="cityscapes", root="folder")) is None


def test_classes_matter_only_where_there_are_some():
    alone = experiments.make_config("nyud/single_task_depth_r50", root="folder", num_classes=13)
    published = published_beside(alone)
    assert published["why_not"] == "" and published["results"] == {"depth": 0.585}


def test_of_several_rows_the_one_of_the_same_network_is_taken():
    config = experiments.make_config("nyud/mti_net_hrnet18_edges_normals", root="folder", **SHORT)
    assert published_beside(config)["preset"] == "nyud/mti_net_hrnet18_edges_normals"
    resnet = experiments.make_config("nyud/shared_trunk_r50", root="folder", epochs=1)
    assert published_beside(resnet)["preset"] == "nyud/shared_trunk_r50"


class Finished:
    """What the report of a survey asks of an outcome."""

    def __init__(self, row, config):
        self.cell = self
        self.row, self.config = row, config


def test_rows_of_a_survey():
    results = [{"semseg": {"miou": 0.1}, "depth": {"rmse": 1.0}}]
    names = [("shared_trunk", "fixed_weights"), ("mti_net", "fixed_weights")]
    rows = [Row(*name, results, [0], {}, {}) for name in names]
    configs = [
        config_of(),
        experiments.make_config("nyud/mti_net_hrnet18", root="folder", width=320),
    ]
    published = _published([Finished(n, c) for n, c in zip(names, configs, strict=True)], rows)
    assert [line["row"] for line in published["lines"]] == [names[0]]
    assert published["lines"][0]["pairs"][0] == ("10.0 %", "33.9 %")
    assert published["without"] == {
        "images of 480×320 instead of 480×640": ["mti_net, fixed_weights"]
    }
