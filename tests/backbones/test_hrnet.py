"""HRNet: the survey's numbers, and parity with timm's model of the same name."""

import collections
import json
import pathlib

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.references import regenerated

# Trainable parameters of each part of HRNet-W18-small-v2 in the survey's code.
SMALL_PARTS = {
    "conv1": 1_728,
    "bn1": 128,
    "conv2": 36_864,
    "bn2": 128,
    "layer1": 145_408,
    "transition1": 124_524,
    "stage2": 65_340,
    "transition2": 23_472,
    "stage3": 884_304,
    "transition3": 93_600,
    "stage4": 2_485_224,
}
SMALL_TENSORS = 864  # of its state dictionary, with a counter for each batch normalisation


def test_the_small_network_has_the_parameters_of_the_survey_in_every_part():
    model = mtl.backbones.build("hrnet_w18_small_v2", (32, 32, 3))
    parts: collections.Counter[str] = collections.Counter()
    tensors = 0
    for layer in model.layers:
        parts[layer.name.split(".")[0]] += sum(
            int(np.prod(v.shape)) for v in layer.trainable_variables
        )
        tensors += len(layer.variables) + (len(layer.variables) == 4)
    assert {part: number for part, number in parts.items() if number} == SMALL_PARTS
    assert tensors == SMALL_TENSORS


@pytest.mark.parametrize(
    ("name", "momentum"),
    [("hrnet_w18_small_v2", 0.99), pytest.param("hrnet_w18", 0.9, marks=pytest.mark.slow)],
)
def test_momenta_are_those_of_the_published_networks(name, momentum):
    model = mtl.backbones.build(name, (32, 32, 3))
    assert {layer.momentum for layer in model.layers if len(layer.variables) == 4} == {momentum}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hrnet_w18", "hrnet_w32"])
def test_all_branches_equal_timms_on_the_same_state_dictionary(name, tmp_path):
    frozen = np.load(pathlib.Path(__file__).with_name("timm_values.npz"))
    shapes = json.loads(str(frozen["meta"]))[name]
    state = {key: regenerated(key, shape).astype(np.float32) for key, shape in shapes.items()}
    state["bn1.num_batches_tracked"] = np.array(7)
    from safetensors.numpy import save_file

    save_file(state, tmp_path / "model.safetensors")
    model = mtl.backbones.build(name, (32, 32, 3))
    mtl.backbones.load_pretrained(model, tmp_path / "model.safetensors")
    image = np.random.default_rng(0).standard_normal((1, 32, 32, 3)).astype(np.float32)
    features = model(image, training=False)
    assert len(features) == 4
    for i, feature in enumerate(features):
        expected = frozen[f"{name}|{i}"]
        assert feature.shape == expected.shape
        assert np.abs(feature - expected).max() < 1e-4 * expected.std()
