"""The configuration names what is wrong and what is allowed."""

import pytest

from mtl_tf import architectures, backbones, balancing, data, experiments, heads
from mtl_tf.experiments.config import read_config


def test_choices_are_the_tables():
    tables = {"architecture": architectures, "backbone": backbones, "head": heads, "data": data}
    for field, module in tables.items():
        for name in module.TABLE:
            config = experiments.make_config(**{field: name}, root="folder")
            assert getattr(config, field) == name


@pytest.mark.parametrize("name", [n for n, row in data.TABLE.items() if row.needs_root])
def test_data_on_disk_needs_its_folder(name):
    with pytest.raises(ValueError, match="--root"):
        experiments.make_config(data=name)


@pytest.mark.parametrize("name", [*balancing.TABLE, "NashMTL", "grad-drop"])
def test_every_balancing_method_is_a_choice(name):
    assert experiments.make_config(balancing=name).balancing == balancing.canonical_name(name)


@pytest.mark.parametrize("preset", experiments.PRESETS)
def test_presets_are_valid(preset):
    config = experiments.make_config(preset, root="somewhere")
    assert set(config.loss_weights) <= set(config.tasks)


def test_values_override_the_preset():
    config = experiments.make_config("demo", epochs=3, tasks=("depth",))
    assert (config.epochs, config.tasks, config.train_size) == (3, ("depth",), 480)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"epoch": 3}, ("epoch: unknown", "epochs")),
        ({"epochs": 0}, ("epochs", "greater than 0", "Received: 0")),
        ({"balancing": "pcgradd"}, ("balancing", "pcgrad", "pcgradd")),
        ({"backbone": "resnet19"}, ("backbone", "resnet18", "resnet19")),
        ({"architecture": "mtn"}, ("architecture", "mtan", "mtn")),
        ({"head": "fancy"}, ("head", "deeplab", "fancy")),
        ({"tasks": ("colour",)}, ("tasks", "semseg", "colour")),
        ({"data": "nyud"}, ("root",)),
        ({"brightness": 2}, ("brightness", "less than 1")),
        ({"learning_rate": "fast"}, ("learning_rate", "fast")),
    ],
)
def test_errors_name_the_key_and_what_is_allowed(values, parts):
    with pytest.raises(ValueError) as error:
        experiments.make_config(**values)
    for part in parts:
        assert part in str(error.value)


def test_unknown_preset_is_named():
    with pytest.raises(ValueError, match="demo"):
        experiments.make_config("fast")


def test_stored_configuration_reads_back(tmp_path):
    config = experiments.make_config("quick", root="/data/nyud")
    (tmp_path / "config.json").write_text(config.to_json())
    assert read_config(tmp_path / "config.json") == config
    (tmp_path / "config.json").write_text(config.to_json()[:-3])
    with pytest.raises(ValueError, match=r"config\.json"):
        read_config(tmp_path / "config.json")


def test_every_field_has_a_description():
    assert [
        n for n, field in experiments.Config.model_fields.items() if not field.description
    ] == []
