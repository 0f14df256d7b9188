"""Rows of the survey: their training, published numbers and differences from a run."""

import pytest

from mtl_tf import experiments
from mtl_tf.experiments import presets
from mtl_tf.experiments.from_config import build_trainer
from mtl_tf.experiments.published import PUBLISHED, differences, published_row
from mtl_tf.surveys import grid

# Configurations published with the survey: optimizer, learning rate, batch, epochs.
TRAINING = {
    "nyud/single_task_depth_r50": ("adam", 1e-4, 8, 100),
    "nyud/shared_trunk_r50": ("adam", 1e-4, 8, 100),
    "nyud/mtan_r50": ("adam", 1e-4, 8, 100),
    "nyud/cross_stitch_r50": ("sgd", 1e-3, 8, 50),
    "nyud/nddr_cnn_r50": ("sgd", 1e-3, 8, 50),
    "nyud/mti_net_hrnet18": ("adam", 1e-4, 8, 100),
    "pascal/single_task_edges_r18": ("adam", 1e-4, 12, 60),
    "pascal/shared_trunk_r18": ("adam", 1e-4, 6, 100),
    "pascal/mtan_r18": ("sgd", 5e-3, 6, 100),
    "pascal/cross_stitch_r18": ("sgd", 5e-3, 12, 20),
    "pascal/single_task_semseg_hrnet18": ("sgd", 1e-2, 8, 60),
    "pascal/pad_net_hrnet18": ("adam", 1e-4, 8, 100),
}


def config_of(name, **values):
    return experiments.make_config(name, root="folder", **values)


@pytest.mark.parametrize("name", TRAINING)
def test_rows_are_trained_as_published(name):
    config = config_of(name)
    training = (config.optimizer, config.learning_rate, config.batch_size, config.epochs)
    assert training == TRAINING[name]
    assert (config.weight_decay, config.schedule, config.best_of) == (1e-4, "poly", 10)
    is_resnet = config.backbone.startswith("resnet")
    assert (config.head, config.output_stride) == (
        ("deeplab", 8) if is_resnet else ("high_resolution", 32)
    )


def test_tasks_and_weights_of_the_two_data_sets():
    pascal, nyud = (
        config_of("pascal/mti_net_hrnet18"),
        config_of("nyud/mti_net_hrnet18_edges_normals"),
    )
    assert pascal.loss_weights == {
        "human_parts": 2.0,
        "saliency": 5.0,
        "edges": 50.0,
        "normals": 10.0,
    }
    assert (pascal.height, pascal.width) == (512, 512) and pascal.rotation_deg == 20
    assert nyud.auxiliary_tasks == ("normals", "edges")
    assert nyud.loss_weights == {"edges": 50.0, "normals": 10.0}
    assert (nyud.height, nyud.width, nyud.num_classes) == (480, 640, 40)
    assert config_of("nyud/single_task_semseg_r50").tasks == ("semseg",)
    assert config_of("pascal/shared_trunk_r18_mgda").balancing == "mgda"


def test_every_published_row_is_a_preset():
    assert set(PUBLISHED) <= set(presets.PRESETS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_closest_row_of_a_preset_is_itself(name):
    assert published_row(config_of(name)) == name
    assert differences(config_of(name), name) == ["backbone not pretrained on ImageNet"]
    assert differences(config_of(name, weights="weights.pth"), name) == []
    results = PUBLISHED[name].results
    assert set(results) in (
        set(),
        set(config_of(name).tasks) - set(config_of(name).auxiliary_tasks),
    )
    assert results or PUBLISHED[name].delta_m is not None
    for task, value in results.items():
        assert (5 < value < 25) if task == "normals" else (0.3 < value < 0.8)


@pytest.mark.parametrize(
    ("row", "single", "digits"),
    [
        ("nyud/cross_stitch_r50", "nyud/single_task_{}_r50", 0.02),
        ("nyud/mti_net_hrnet18", "nyud/single_task_{}_hrnet18", 0.2),
        ("pascal/shared_trunk_r18", "pascal/single_task_{}_r18", 0.1),
        ("pascal/mti_net_hrnet18", "pascal/single_task_{}_hrnet18", 0.1),
    ],
)
def test_published_delta_m_is_that_of_the_published_numbers(row, single, digits):
    """Transcription errors in a cell would show: Delta-m by hand, from rounded metrics."""
    changes = []
    for task, value in PUBLISHED[row].results.items():
        base = PUBLISHED[single.format(task)].results[task]
        sign = -1 if task in ("depth", "normals") else 1
        changes.append(sign * (value - base) / base)
    delta = 100 * sum(changes) / len(changes)
    assert delta == pytest.approx(100 * PUBLISHED[row].delta_m, abs=digits)


@pytest.mark.parametrize("table", presets.TABLES)
def test_the_cells_of_a_table_are_its_presets(table):
    chosen = presets.SURVEYS[table]
    always = {"root": "folder"}
    cells = grid.make_cells(chosen["rows"], [0], chosen["base"], chosen["alone"], always)
    data, backbone = table.split("_")
    named = [n for n in presets.PRESETS if n.startswith(data) and f"_{backbone}" in n]
    without = {"diagnostics": False}  # surveys log what methods compute anyway
    assert [cell.config.model_copy(update=without) for cell in cells] == [
        config_of(n) for n in named
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("nyud/shared_trunk_r50", 55_769_449),
        ("nyud/cross_stitch_r50", 79_292_841),
        ("nyud/mti_net_hrnet18_edges_normals", 14_838_121),
        ("pascal/mtan_r18", 36_613_425),
    ],
)
def test_presets_have_the_published_parameters(name, parameters):
    config = config_of(name)
    channels = {"semseg": 21 if "pascal" in name else 40, "human_parts": 7, "normals": 3}
    trainer = build_trainer(config, {task: channels.get(task, 1) for task in config.tasks}, 1)
    assert sum(v.numpy().size for v in trainer.network.trainable_variables) == parameters


def test_a_preset_trains_some_of_its_tasks():
    """The loss weights of the others are left out."""
    config = experiments.make_config(
        "quick", root="folder", tasks=("semseg", "depth"), weights=None, height=32, width=64
    )
    assert set(config.loss_weights) == {"edges", "normals"}
    trainer = build_trainer(config, {"semseg": 13, "depth": 1}, steps=1)
    assert [task.name for task in trainer.tasks] == ["semseg", "depth"]
