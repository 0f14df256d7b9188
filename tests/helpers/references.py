"""Weights anyone can regenerate, and where they go: parity with the survey's official models."""

import zlib

import numpy as np

_NAMES = {
    "kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def regenerated(name, shape):
    """The tensor `name` of the official state dict, in PyTorch's layout, float64."""
    r = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return r.uniform(0.5, 1.5, shape)
    if name.endswith(("running_mean", "bias")):
        return 0.1 * r.standard_normal(shape)
    if name.endswith(".param"):
        return r.uniform(0, 1, shape)
    if len(shape) == 1:
        return r.uniform(0.5, 1.5, shape)
    return r.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))


def fill(model):
    """Fills a flat functional model by its layers' names; returns `{official name: shape}`."""
    filled = {}
    for layer in model.layers:
        for variable in layer.variables:
            if variable.name not in _NAMES:
                continue
            shape = tuple(variable.shape)
            official = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
            name = f"{layer.name}.{_NAMES[variable.name]}"
            value = regenerated(name, official)
            variable.assign(value.transpose(2, 3, 1, 0) if len(shape) == 4 else value)
            filled[name] = official
    return filled
