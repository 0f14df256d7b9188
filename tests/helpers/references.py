"""Weights anyone can regenerate, and where they go: parity with the survey's official models."""

import functools
import json
import zlib

import numpy as np

_ARCHITECTURES = {
    "single": "single_task",
    "shared": "shared_trunk",
    "cross_stitch": "cross_stitch",
    "nddr": "nddr_cnn",
    "mtan": "mtan",
    "pad_net": "pad_net",
    "mti_net": "mti_net",
}
_BACKBONES = {"r18": "resnet18", "hr18": "hrnet_w18_small_v2"}
OFFICIAL = (
    "single-r18-semseg",
    "shared-r18-semseg+depth",
    "shared-hr18-semseg+depth",
    "cross_stitch-r18-semseg+depth",
    "nddr-r18-semseg+depth",
    "mtan-r18-semseg+depth",
    "pad_net-hr18-semseg+depth",
    "pad_net-hr18-semseg+depth-aux-semseg+normals+edge+depth",
    "mti_net-hr18-semseg+depth",
    "mti_net-hr18-semseg+depth-aux-semseg+normals+edge+depth",
)
_CHANNELS = {"semseg": 40, "depth": 1, "normals": 3, "edge": 1}
_OURS = {"edge": "edges"}


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


@functools.lru_cache
def official(root):
    """The recorded outputs, and what is known of each model."""
    outputs = np.load(root / "official_models.npz")
    return outputs, json.loads(str(outputs["meta"]))


def state_dict(root, name):
    """`{name: tensor}` of an official model, float32."""
    shapes = official(root)[1][name]["state_dict"]
    return {tensor: regenerated(tensor, shape).astype(np.float32) for tensor, shape in shapes}


@functools.lru_cache
def official_model(root, name):
    """The model here that `name` of `OFFICIAL` is, made once: fill all its weights before use."""
    import mtl_tf as mtl

    meta = official(root)[1][name]
    options = {}
    if meta["architecture"] in ("pad_net", "mti_net"):
        options["auxiliary_tasks"] = {_OURS.get(t, t): _CHANNELS[t] for t in meta["aux"]}
    if meta["architecture"] == "mti_net":
        options["propagation"] = "official"
    cls = mtl.architectures.TABLE[_ARCHITECTURES[meta["architecture"]]].cls
    return cls(_BACKBONES[meta["backbone"]], meta["tasks"], (64, 96, 3), **options)


def our_output(name):
    """The output here that is called `name` in the recorded ones, if there is one."""
    *scale, last = name.removeprefix("deep_supervision/").split("/")
    if last.startswith("features_"):
        return None
    task = last.removeprefix("initial_")
    task = _OURS.get(task, task)
    if scale:
        return f"{task}/initial/{scale[0].removeprefix('scale_')}"
    return f"{task}/initial" if last.startswith("initial_") else task
