"""Export of a preset: half the size, for images as they are, with its model card."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.deployment import export_preset
from mtl_tf.deployment.export.half_precision import halve_weights
from tests.helpers.inputs import tiny_backbone

SIZE = (32, 48)
TASKS = {"semseg": 3, "depth": 1}
NAMES = ("wall", "floor", "door")
CARD = {"Licence": "CC0", "Metrics": "| a | b |\n|---|---|\n| 1 | 2 |\n\n### More\n\n`x`"}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "rooms"
    network = mtl.architectures.SharedTrunk(
        "resnet18", TASKS, (*SIZE, 3), head="conv", output_stride=32
    )
    tasks = mtl.tasks.with_class_names(mtl.tasks.as_tasks(TASKS), {"semseg": NAMES})
    mtl.MultiTaskTrainer(network, tasks).save_to_preset(folder, CARD)
    return folder, network


@pytest.fixture(scope="module")
def exported(preset, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "small"
    differences = export_preset(preset[0], out)
    return out, mtl.from_preset(out), differences


def test_it_predicts_the_same_from_images_as_they_are(preset, exported):
    _, trainer, differences = exported
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    expected = preset[1](mtl.data.normalise(photo)[None], training=False)
    network = trainer.network
    raw = network(photo[None].astype(np.float32), training=False)
    assert network.arguments["include_preprocessing"]
    for task, value in expected.items():
        spread = np.std(value)
        np.testing.assert_allclose(raw[task], value, atol=0.01 * spread)
        assert 0 < differences[task] < 0.02 * spread


def test_it_has_half_the_size_and_float32_weights_again(preset, exported):
    out, trainer, _ = exported
    sizes = [(folder / "model.keras").stat().st_size for folder in (out, preset[0])]
    assert sizes[0] < 0.55 * sizes[1]
    for a, b in zip(trainer.network.variables, preset[1].variables, strict=True):
        assert a.dtype == "float32"
        np.testing.assert_array_equal(a, np.asarray(b).astype(np.float16))


def test_it_keeps_tasks_and_the_sections_of_the_card(preset, exported):
    out, trainer, _ = exported
    assert trainer.tasks[0].class_names == NAMES
    card = (out / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: small\n")
    for heading, text in CARD.items():
        assert card.count(f"## {heading}\n\n{text}\n") == 1
    assert "normalised inside the network" in card and 'mtl.from_preset("small")' in card
    assert "## Weights\n\nStored in half precision" in card
    assert card.count("\n## Use\n") == card.count("\n## Input\n") == 1
    again = out.with_name("again")
    assert max(export_preset(out, again).values()) == 0
    assert (again / "MODEL_CARD.md").read_text() == card.replace("small", "again")


def test_it_does_not_write_over_what_exists(preset, exported, tmp_path):
    with pytest.raises(ValueError, match="exists: choose another name"):
        export_preset(preset[0], exported[0])
    with pytest.raises(FileNotFoundError, match="no preset"):
        export_preset(tmp_path / "nothing", tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_model_of_the_users_own_keeps_its_input(tmp_path):
    backbone = tiny_backbone(*SIZE)
    x = keras.layers.Conv2D(1, 1)(backbone.output[0])
    x = keras.layers.UpSampling2D(SIZE[0] // x.shape[1])(x)
    network = keras.Model(backbone.input, {"depth": x})
    mtl.MultiTaskTrainer(network, {"depth": 1}).save_to_preset(tmp_path / "own")
    differences = export_preset(tmp_path / "own", tmp_path / "out")
    photo = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    photo = mtl.data.normalise(photo)
    expected = network(photo, training=False)["depth"]
    raw = mtl.from_preset(tmp_path / "out").network(photo, training=False)["depth"]
    np.testing.assert_allclose(raw, expected, atol=0.01 * np.std(expected))
    assert differences["depth"] < 0.01 * np.std(expected)


def test_a_weight_that_float16_cannot_hold_is_named(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.full((2, 1), 1e5), np.zeros(1)])
    path = tmp_path / "model.keras"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"weight layers/dense/vars/0 has values up to 100000"):
        halve_weights(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_other_dtypes_and_attributes_stay(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1), Counter()])
    path = tmp_path / "model.keras"
    model.save(path)
    halve_weights(path)
    again = keras.models.load_model(path)
    assert int(again.layers[-1].count) == 70_001
    np.testing.assert_allclose(again(np.ones((1, 2))), model(np.ones((1, 2))), rtol=1e-3)
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as weights:
        assert weights["layers/dense/vars/0"].dtype == np.float16


@keras.saving.register_keras_serializable("tests")
class Counter(keras.layers.Layer):
    def build(self, _shape):
        self.count = self.add_weight(
            shape=(),
            dtype="int32",
            initializer=keras.initializers.Constant(70_001),
            trainable=False,
        )

    def call(self, x):
        return x
