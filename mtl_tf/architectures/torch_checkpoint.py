"""Loading of checkpoints of the survey's official code into the corresponding models."""

import itertools
import os
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

from mtl_tf.architectures.base import Architecture
from mtl_tf.layers import CrossStitchUnit
from mtl_tf.weights.torch_state import Slot, fill, leaf_layers, read_state_dict, slots

# Task names that differ: official name -> name in this library.
_TASKS = {"sal": "saliency", "edge": "edges"}
# Options that are fixed in the official code.
_OPTIONS = {"gate": "source", "propagation": "official"}
_PACKED = ".self_attention.from."


def load_torch_checkpoint(model: Architecture, path: str | os.PathLike[str]) -> None:
    """Load a checkpoint of the survey's official PyTorch code.

    For `SingleTask`, `SharedTrunk`, `CrossStitch`, `NDDRCNN` and `MTAN` on ResNets with the DeepLab
    head or on HRNet with the high-resolution head, and for `PADNet` and `MTINet`. Source:
    Vandenhende et al., TPAMI 2021.

    Args:
        model: model with the backbone, head and tasks of the checkpoint. NDDR-CNN and MTI-Net
            concatenate their (auxiliary) tasks in order, which must be that of the checkpoint
            (`.safetensors` files do not contain it). PAD-Net must have the gate `"source"`, MTI-Net
            the propagation `"official"`.
        path: `.pth` or `.pth.tar` (needs PyTorch) or `.safetensors`; names may have the prefix
            `module.`.

    Raises:
        ValueError: for tensors that are missing, unexpected or of another shape, tasks in another
            order, or an option that the official code lacks; the model is not changed then.
        ImportError: if PyTorch is needed but not installed.
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
    named_slots = slots(layer for layer in leaves if _PACKED not in layer.name)
    for layer in leaves:
        if isinstance(layer, CrossStitchUnit):
            named_slots += _cross_stitch_slots(layer, tasks)
        elif _PACKED in layer.name:
            named_slots += _message_slots(layer, tasks)
    fill(named_slots, state, pathlib.Path(path).name)


def _our_name(name: str) -> str:
    return ".".join(_TASKS.get(part, part) for part in name.split("."))


def _cross_stitch_slots(unit: CrossStitchUnit, tasks: list[str]) -> list[tuple[str, Slot]]:
    pairs = itertools.product(enumerate(tasks), enumerate(tasks))
    return [
        (f"{unit.name}.cross_stitch_unit.{target}.{source}.param", Slot(unit.mixing, (i, j)))
        for (i, target), (j, source) in pairs
    ]


def _message_slots(layer: keras.layers.Layer, tasks: list[str]) -> list[tuple[str, Slot]]:
    """Return the slots of the gates and values of a task, which are packed in one kernel."""
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


def _check_order(
    state: Mapping[str, np.ndarray], prefix: str, index: int, tasks: list[str]
) -> None:
    """Raise a `ValueError` if the checkpoint concatenates tasks in another order than the model."""
    parts = [name.split(".") for name in state if name.startswith(prefix)]
    order = list(dict.fromkeys(part[index] for part in parts))
    if order and set(order) == set(tasks) and order != tasks:
        raise ValueError(
            f"The checkpoint concatenates the tasks in the order {order}: build the model with "
            f"tasks in that order. Received: {tasks}"
        )
