"""State dictionaries as they are published, files of them, and whether a model holds them."""

import keras
import numpy as np
import pytest

TASKS = {"depth": 1, "normals": 3}
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def published(depth, seed=0):
    """A state dictionary as torchvision's ResNets have it, with random values."""
    r = np.random.default_rng(seed)
    state = {}

    def conv(name, outputs, inputs, size):
        scale = np.sqrt(2 / (inputs * size**2))
        values = scale * r.standard_normal((outputs, inputs, size, size))
        state[f"{name}.weight"] = values.astype(np.float32)

    def norm(name, channels):
        for part in ("weight", "running_var"):
            state[f"{name}.{part}"] = r.uniform(0.5, 1.5, channels).astype(np.float32)
        for part in ("bias", "running_mean"):
            state[f"{name}.{part}"] = (0.1 * r.standard_normal(channels)).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(1234)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    expansion = 4 if depth == 50 else 1
    inputs = 64
    for stage, number in enumerate(BLOCKS[depth]):
        inner = 64 * 2**stage
        outputs = inner * expansion
        for block in range(number):
            name = f"layer{stage + 1}.{block}"
            channels = (inputs, inner, inner, outputs) if depth == 50 else (inputs, inner, outputs)
            sizes = (1, 3, 1) if depth == 50 else (3, 3)
            for i, size in enumerate(sizes):
                conv(f"{name}.conv{i + 1}", channels[i + 1], channels[i], size)
                norm(f"{name}.bn{i + 1}", channels[i + 1])
            if block == 0 and (stage > 0 or inputs != outputs):
                conv(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    state["fc.weight"] = r.standard_normal((1000, inputs)).astype(np.float32)
    state["fc.bias"] = r.standard_normal(1000).astype(np.float32)
    return state


def save_safetensors(state, path):
    from safetensors.numpy import save_file

    save_file(state, path)
    return path


def save_torch(state, path, wrap=lambda tensors: tensors):
    torch = pytest.importorskip("torch")
    torch.save(wrap({name: torch.from_numpy(value) for name, value in state.items()}), path)
    return path


def in_keras(state, name):
    """A tensor as Keras holds it."""
    tensor = state[name]
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor


def all_layers(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        elif layer.weights:
            yield layer


def check_holds(model, state, prefix=""):
    """Every tensor of the backbone is in the layer of its name behind `prefix`."""
    layers = {layer.name: layer for layer in all_layers(model)}
    names = {name.rpartition(".")[0] for name in state if not name.startswith("fc.")}
    for name in names:
        layer = layers[prefix + name]
        if f"{name}.running_mean" in state:
            parts = {"gamma": "weight", "beta": "bias"}
            parts |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
        else:
            parts = {"kernel": "weight"}
        assert {v.name for v in layer.variables} == set(parts)
        for own, theirs in parts.items():
            expected = in_keras(state, f"{name}.{theirs}")
            np.testing.assert_array_equal(getattr(layer, own), expected)
    return {prefix + name for name in names}


def values(model, without=()):
    """All weights but those of the layers `without`, by layer."""
    return {
        (layer.name, v.name): v.numpy()
        for layer in all_layers(model)
        if layer.name not in without
        for v in layer.variables
    }


def check_same(before, after):
    assert set(before) == set(after)
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key])
