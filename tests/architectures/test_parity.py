"""Exact parity with the survey's official models, through a checkpoint: names, shapes, outputs."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtl_tf as mtl
from tests.helpers.references import OFFICIAL, official, official_model, our_output, state_dict


@pytest.mark.parametrize("name", OFFICIAL)
def test_equals_the_official_model(name, oracles_root, tmp_path):
    expected, meta = official(oracles_root)
    model = official_model(oracles_root, name)
    save_file(state_dict(oracles_root, name), tmp_path / "model.safetensors")
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.safetensors")
    image = np.random.default_rng(0).standard_normal((1, 64, 96, 3)).astype(np.float32)
    outputs = model(image, training=False)
    recorded = {our_output(key): key for key in meta[name]["outputs"]}
    recorded.pop(None, None)  # features
    assert set(outputs) == set(recorded)
    for task, output in outputs.items():
        theirs = expected[f"{name}|{recorded[task]}"]
        stride = meta[name]["outputs"][recorded[task]]["stored_stride"]
        error = np.abs(output.numpy()[:, ::stride, ::stride] - theirs).max()
        assert error < 1e-4 * theirs.std(), task


@pytest.mark.parametrize("name", OFFICIAL)
def test_has_the_trainable_parameters_of_the_official_model(name, oracles_root):
    model = official_model(oracles_root, name)
    count = mtl.architectures.summary(model).parameters
    assert count == official(oracles_root)[1][name]["trainable_params"]
