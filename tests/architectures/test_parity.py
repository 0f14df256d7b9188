"""Exact parity with the survey's official models: names, shapes, outputs."""

import json

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.references import fill

MODELS = {
    "single-r18-semseg": mtl.architectures.SingleTask,
    "shared-r18-semseg+depth": mtl.architectures.SharedTrunk,
}


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_official_model(name, oracles_root):
    oracle = np.load(oracles_root / "official_models.npz")
    meta = json.loads(str(oracle["meta"]))[name]
    model = MODELS[name]("resnet18", meta["tasks"], (64, 96, 3))
    assert fill(model) == {name: tuple(shape) for name, shape in meta["state_dict"]}
    image = np.random.default_rng(0).standard_normal((1, 64, 96, 3)).astype(np.float32)
    outputs = model(image, training=False)
    assert set(outputs) == set(meta["outputs"])
    for task, output in outputs.items():
        expected = oracle[f"{name}|{task}"]
        error = np.abs(output.numpy()[:, ::4, ::4] - expected).max()
        assert error < 1e-4 * expected.std()
