"""Freezes what timm's HRNet and ResNet compute on weights anyone can regenerate.

    python -m venv timm-venv && timm-venv/bin/pip install timm numpy
    timm-venv/bin/python tests/backbones/generate_timm_values.py

Written for timm 1.0. Every tensor of the state dictionary is filled by the rule of
`tests/helpers/references.py`, in float64; `timm_values.npz` holds the features of each stage for
one image, `default_rng(0).standard_normal((1, 32, 32, 3))`, and the tensors' names and shapes.
"""

import importlib.util
import json
import pathlib

import numpy as np
import timm
import torch

FOLDER = pathlib.Path(__file__).parent
MODELS = ("hrnet_w18", "hrnet_w32", "resnet18", "resnet50")


def regenerated():
    path = FOLDER.parent / "helpers" / "references.py"
    spec = importlib.util.spec_from_file_location("references", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.regenerated


def stages(model, image):
    """The features of the last stages, finest first."""
    if hasattr(model, "stages"):
        x = model.act2(model.bn2(model.conv2(model.act1(model.bn1(model.conv1(image))))))
        return model.stages(x)
    x = model.maxpool(model.act1(model.bn1(model.conv1(image))))
    found = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        found.append(x)
    return found


def main():
    fill = regenerated()
    image = np.random.default_rng(0).standard_normal((1, 32, 32, 3))
    arrays, meta = {}, {}
    for name in MODELS:
        model = timm.create_model(name, pretrained=False).double().eval()
        state = {
            key: value if key.endswith("tracked") else torch.tensor(fill(key, tuple(value.shape)))
            for key, value in model.state_dict().items()
        }
        model.load_state_dict(state)
        meta[name] = {k: list(v.shape) for k, v in state.items() if not k.endswith("tracked")}
        with torch.no_grad():
            features = stages(model, torch.tensor(image.transpose(0, 3, 1, 2).copy()))
        for i, x in enumerate(features):
            arrays[f"{name}|{i}"] = x.numpy().transpose(0, 2, 3, 1).astype(np.float32)
    np.savez_compressed(FOLDER / "timm_values.npz", meta=json.dumps(meta), **arrays)


if __name__ == "__main__":
    main()
