"""Presets: what is saved comes back with its tasks, names of classes, size and preprocessing."""

import json

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.deployment.presets import model_file

SIZE = (32, 48)
TASKS = {"semseg": 3, "depth": 1}
NAMES = ("wall", "floor", "a | bar")


def trainer(**options):
    semseg, depth = mtl.tasks.as_tasks(TASKS)
    named = mtl.tasks.with_class_names([semseg, depth], {"semseg": NAMES})
    network = mtl.architectures.SharedTrunk(
        "resnet18", TASKS, (*SIZE, 3), head="conv", output_stride=32, **options
    )
    return mtl.MultiTaskTrainer(network, named)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "rooms"
    made = trainer()
    made.save_to_preset(folder, {"Licence": "CC0", "Data": "none | at all"})
    return made, folder


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def test_it_comes_back_with_its_tasks(preset):
    made, folder = preset
    again = mtl.from_preset(folder)
    assert [t.name for t in again.tasks] == list(TASKS)
    assert again.tasks[0].class_names == NAMES
    assert again.network.input_shape == (None, *SIZE, 3)
    image = mtl.data.normalise(photo())[None]
    for task, expected in made.network(image, training=False).items():
        np.testing.assert_array_equal(again.network(image, training=False)[task], expected)
    again.compile("sgd")  # and can be trained on


def test_its_card_says_what_it_is(preset):
    _, folder = preset
    card = (folder / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: rooms\n\nA network for 2 tasks: `shared_trunk` with the")
    for part in (
        "| semseg | 3 | ", "wall, floor, a \\| bar", "height 32 and width 48",
        "mtl_tf.data.normalise",
        "11,4", "billion multiply-adds", "## Licence\n\nCC0", "## Data\n\nnone | at all",
        'mtl.from_preset("rooms")',
    ):  # fmt: skip
        assert part in card


@pytest.mark.parametrize("how", ["file", "variable", "runs"])
def test_by_file_and_by_name(how, preset, monkeypatch):
    _, folder = preset
    name = "rooms"
    if how == "file":
        name = folder / "model.keras"
    elif how == "variable":
        monkeypatch.setenv("MTL_TF_PRESETS", str(folder.parent))
    else:
        monkeypatch.chdir(folder.parent)
        folder.parent.joinpath("runs").mkdir(exist_ok=True)
        link = folder.parent / "runs" / "halls"
        if not link.exists():
            link.symlink_to(folder)
        name = "halls"
    assert model_file(name).samefile(folder / "model.keras")
    assert mtl.from_preset(name).tasks[0].class_names == NAMES
    assert set(mtl.deployment.Predictor(name)(photo()).pictures()) == set(TASKS)


def test_a_missing_preset_is_named():
    with pytest.raises(FileNotFoundError, match=r"no preset 'kitchens': .*runs/kitchens"):
        mtl.from_preset("kitchens")


def test_a_damaged_one_is_named(preset, tmp_path):
    _, folder = preset
    content = (folder / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"model\.keras cannot be loaded as a model"):
        mtl.from_preset(tmp_path)


def test_own_tasks_come_back_if_their_code_is_there(tmp_path):
    heat = mtl.Task(
        "heat", 2, mtl.TASKS["depth"].activation, mtl.losses.L1,
        lambda channels: [mtl.metrics.RegressionMetrics(channels)], "abs_error", False,
    )  # fmt: skip
    network = mtl.architectures.SharedTrunk("resnet18", [heat], (*SIZE, 3), head="conv")
    mtl.MultiTaskTrainer(network, [heat]).save_to_preset(tmp_path / "heat")
    (again,) = mtl.from_preset(tmp_path / "heat").tasks
    assert (again.name, again.channels, again.kind) == ("heat", 2, heat.kind)


def test_a_network_of_an_unknown_task_says_what_to_do(tmp_path):
    network = mtl.architectures.SharedTrunk("resnet18", {"heat": 2}, (*SIZE, 3), head="conv")
    network.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"tasks \['heat'\] of .* are unknown"):
        mtl.from_preset(tmp_path)


@pytest.mark.parametrize("inside", [True, False])
def test_predictions_do_not_depend_on_where_images_are_normalised(inside, tmp_path):
    keras.utils.set_random_seed(0)
    plain = trainer()
    keras.utils.set_random_seed(0)
    made = trainer(include_preprocessing=inside)
    for a, b in zip(plain.network.variables, made.network.variables, strict=True):
        b.assign(a)
    made.save_to_preset(tmp_path / "a")
    plain.save_to_preset(tmp_path / "b")
    ours = mtl.deployment.Predictor(tmp_path / "a")(photo()).pictures()
    theirs = mtl.deployment.Predictor(tmp_path / "b")(photo()).pictures()
    for task, picture in ours.items():
        assert np.mean(np.any(picture != theirs[task], axis=-1)) < 0.01
    card = (tmp_path / "a" / "MODEL_CARD.md").read_text()
    assert ("0 to 255, normalised inside" in card) == inside


@pytest.mark.parametrize("with_preprocessing", [True, False])
def test_a_network_with_preprocessing_is_exported_as_it_is(with_preprocessing, tmp_path):
    made = trainer(include_preprocessing=True)
    differences = mtl.deployment.export_model(
        made.network, tmp_path / "model", with_preprocessing=with_preprocessing
    )
    assert differences.keys() == TASKS.keys()


def test_metadata_is_json_and_stays(tmp_path):
    network = trainer().network
    network.add_metadata(note="in the morning")
    network.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.metadata["note"] == "in the morning"
    assert json.loads(json.dumps(again.get_config()["metadata"]))["tasks"][0]["name"] == "semseg"


def test_a_plain_network_is_saved_with_its_trainer(tmp_path):
    image = keras.Input((*SIZE, 3))
    network = keras.Model(image, {t: keras.layers.Conv2D(n, 1)(image) for t, n in TASKS.items()})
    tasks = mtl.tasks.with_class_names(mtl.tasks.as_tasks(TASKS), {"semseg": NAMES})
    mtl.MultiTaskTrainer(network, tasks).save_to_preset(tmp_path / "plain")
    again = mtl.from_preset(tmp_path / "plain")
    assert again.tasks[0].class_names == NAMES
    assert set(mtl.deployment.Predictor(tmp_path / "plain")(photo()).pictures()) == set(TASKS)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.convs = {t: keras.layers.Conv2D(n, 1) for t, n in TASKS.items()}

    def call(self, image):
        return {t: conv(image) for t, conv in self.convs.items()}


def test_a_subclassed_network_is_refused_and_nothing_written(tmp_path):
    network = Subclassed()
    network(np.zeros((1, *SIZE, 3), np.float32))
    with pytest.raises(ValueError, match="needs a functional network"):
        mtl.MultiTaskTrainer(network, TASKS).save_to_preset(tmp_path / "none")
    assert not (tmp_path / "none").exists()
