"""Checkpoints of the survey's official code, loaded into the matching models here."""

import itertools
import pathlib
from typing import Any

from mtl_tf.architectures.base import Architecture
from mtl_tf.layers import CrossStitchUnit
from mtl_tf.weights.torch_state import Slot, fill, leaf_layers, read_state_dict, slots

# Task names that differ: theirs -> ours.
_TASKS = {"sal": "saliency", "edge": "edges"}
# What the official code has only one form of.
_OPTIONS = {"gate": "source", "propagation": "official"}
_PACKED = ".self_attention.from."


def load_torch_checkpoint(model: Architecture, path: str | pathlib.Path) -> None:
    """Loads a checkpoint of the survey's official PyTorch code.

    For `SingleTask`, `SharedTrunk`, `CrossStitch`, `NDDRCNN` and `MTAN` on ResNets with the DeepLab
    head or on HRNet with the high-resolution head, and for `PADNet` and `MTINet`. Source:
    Vandenhende et al., TPAMI 2021.

    Args:
        model: with the backbone, head and tasks of the checkpoint. NDDR-CNN and MTI-Net concatenate
            in the order of their (auxiliary) tasks, which must be the checkpoint's (`.safetensors`
            do not tell it). PAD-Net must have the gate `"source"`, MTI-Net the propagation
            `"official"`.
        path: `.pth` or `.pth.tar` (needs PyTorch) or `.safetensors`; names may begin with
            `module.`.

    Raises:
        ValueError: naming tensors that are missing, extra or of another shape, tasks in another
            order, or an option that the official code does not have; nothing is changed then.
        ImportError: if PyTorch is needed and not installed.
    """
    state = {_our_name(name): value for name, value in read_state_dict(path).items()}
    for option, value in _OPTIONS.items():
        if model.arguments.get(option, value) != value:
            raise ValueError(
                f"The official code has {option}={value!r}: build the model with it. "
                f"Received: {model.arguments[option]!r}"
            )
    tasks = list(model.arguments["tasks"])
    if pathlib.Path(path).suffix != ".safetensors":
        _check_order(state, "nddr.", 3, tasks)
        _check_order(
            state, "fpm_scale_1.se.", 2, list(model.arguments.get("auxiliary_tasks", tasks))
        )
    leaves = leaf_layers(model)
    places = slots(layer for layer in leaves if _PACKED not in layer.name)
    for layer in leaves:
        if isinstance(layer, CrossStitchUnit):
            places += _stitches(layer, tasks)
        elif _PACKED in layer.name:
            places += _messages(layer, tasks)
    fill(places, state, pathlib.Path(path).name)


def _our_name(name: str) -> str:
    return ".".join(_TASKS.get(part, part) for part in name.split("."))


def _stitches(unit: CrossStitchUnit, tasks: list[str]) -> list[tuple[str, Slot]]:
    pairs = itertools.product(enumerate(tasks), enumerate(tasks))
    return [
        (f"{unit.name}.cross_stitch_unit.{target}.{source}.param", Slot(unit.mixing, (i, j)))
        for (i, target), (j, source) in pairs
    ]


def _messages(layer: Any, tasks: list[str]) -> list[tuple[str, Slot]]:
    """The gates and values that a task's features are convolved to, in one kernel."""
    module, source = layer.name.split(_PACKED)
    targets = [task for task in tasks if task != source]
    channels = layer.kernel.shape[-1] // (2 * len(targets))
    names = [
        f"{module}.self_attention.{target}.{source}.{part}.weight"
        for target in targets
        for part in ("attention.0", "conv")
    ]
    return [
        (name, Slot(layer.kernel, (..., slice(i * channels, (i + 1) * channels))))
        for i, name in enumerate(names)
    ]


def _check_order(state: dict[str, Any], prefix: str, place: int, tasks: list[str]) -> None:
    """Raises if the layers that concatenate tasks do so in another order than the model."""
    parts = [name.split(".") for name in state if name.startswith(prefix)]
    order = list(dict.fromkeys(part[place] for part in parts))
    if order and set(order) == set(tasks) and order != tasks:
        raise ValueError(
            f"The checkpoint concatenates the tasks in the order {order}: build the model with "
            f"tasks in that order. Received: {tasks}"
        )
