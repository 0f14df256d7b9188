"""The model card of a run: what it says, and that its command trains the same configuration."""

import argparse
import shlex

import pytest

from mtl_tf import experiments
from mtl_tf.cli.options import add_config_options, config_from
from mtl_tf.experiments.outputs.card import card_of_run, command_of

TASKS = {"semseg": 13, "depth": 1}


def parsed(command):
    program, name, *words = shlex.split(command)
    assert (program, name) == ("mtl-tf", "train")
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    options = parser.parse_args(words)
    options.preset = options.config = None
    return config_from(options)[1]


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        (None, {}),
        ("demo", {}),
        ("quick", {"root": "FOLDER"}),
        ("nyud/mti_net_hrnet18_edges_normals", {"root": "FOLDER", "weights": "imagenet"}),
        ("pascal/shared_trunk_r18_mgda", {"root": "FOLDER", "zoom_between": True}),
        (None, {"ema_momentum": 0.99, "clip_norm": 2.5, "cache": False, "freeze_epochs": 3}),
        (None, {"architecture": "mtan", "architecture_options": {"name": "a b"}}),
    ],
)
def test_the_command_trains_the_same_configuration(preset, values):
    config = experiments.make_config(preset, **values)
    assert parsed(command_of(config)).identity() == config.identity()


def test_the_folder_of_the_data_is_not_told():
    config = experiments.make_config("quick", root="/home/secret", weights="/home/secret/w.pth")
    assert "secret" not in command_of(config)
    assert "--root FOLDER" in command_of(config) and "--weights w.pth" in command_of(config)


def summary(**values):
    config = experiments.make_config(tasks=tuple(TASKS), **values)
    return {
        "config": config.model_dump(mode="json"),
        "environment": {
            "data": "abc123", "training_s": 120.0, "processors": 2, "mtl_tf": "0.1.0",
            "keras": "3.15",
        },
        "kept": {"epoch": 12},
        "results": {"semseg": {"miou": 0.512, "pixel_accuracy": 0.75}, "depth": {"rmse": 0.7}},
    }  # fmt: skip


def test_metrics_have_their_units_and_the_main_one_comes_first():
    table = card_of_run(summary(), TASKS)["Metrics"]
    rows = [line for line in table.splitlines() if line.startswith(("| semseg", "| depth"))]
    assert rows == [
        "| semseg | miou | 51.2 % |",
        "| semseg | pixel_accuracy | 75.0 % |",
        "| depth | rmse | 0.700 m |",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "too.\n"),
        ({"weights": "imagenet", "backbone": "resnet18"}, "trained by torchvision (ImageNet, BSD"),
        ({"weights": "/somewhere/mine.pth"}, "mine.pth"),
    ],
)
def test_the_origin_of_the_weights(values, expected):
    sections = card_of_run(summary(**values), TASKS)
    assert expected in sections["Data"] + "\n" and "somewhere" not in str(sections)
    assert "fingerprint `abc123`" in sections["Data"]
    assert "12 epochs in 2 minutes on 2 processors" in sections["Training"]
