"""Exact parity with the survey's official models, through a checkpoint: names, shapes, outputs."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtl_tf as mtl
from tests.helpers.references import OFFICIAL, official, official_model, state_dict


@pytest.mark.parametrize("name", OFFICIAL)
def test_equals_the_official_model(name, oracles_root, tmp_path):
    expected, meta = official(oracles_root)
    model = official_model(oracles_root, name)
    save_file(state_dict(oracles_root, name), tmp_path / "model.safetensors")
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.safetensors")
    image = np.random.default_rng(0).standard_normal((1, 64, 96, 3)).astype(np.float32)
    outputs = model(image, training=False)
    assert set(outputs) == set(meta[name]["outputs"])
    for task, output in outputs.items():
        recorded = expected[f"{name}|{task}"]
        error = np.abs(output.numpy()[:, ::4, ::4] - recorded).max()
        assert error < 1e-4 * recorded.std()


@pytest.mark.parametrize("name", OFFICIAL)
def test_has_the_trainable_parameters_of_the_official_model(name, oracles_root):
    model = official_model(oracles_root, name)
    count = mtl.architectures.summary(model).parameters
    assert count == official(oracles_root)[1][name]["trainable_params"]
