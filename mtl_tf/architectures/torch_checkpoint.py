"""Checkpoints of the survey's official code, loaded into the matching models here."""

import itertools
import pathlib
from typing import Any

from mtl_tf.architectures.base import Architecture
from mtl_tf.backbones.torch_weights import Slot, fill, leaf_layers, read_state_dict, slots
from mtl_tf.layers import CrossStitchUnit

# Task names that differ: theirs -> ours.
_TASKS = {"sal": "saliency", "edge": "edges"}


def load_torch_checkpoint(model: Architecture, path: str | pathlib.Path) -> None:
    """Loads a checkpoint of the survey's official PyTorch code.

    For `SingleTask`, `SharedTrunk`, `CrossStitch`, `NDDRCNN` and `MTAN` on ResNets with the DeepLab
    head or on HRNet with the high-resolution head. Source: Vandenhende et al., TPAMI 2021.

    Args:
        model: with the backbone, head and tasks of the checkpoint. NDDR-CNN concatenates in the
            order of its tasks, which must be the checkpoint's (`.safetensors` do not tell it).
        path: `.pth` or `.pth.tar` (needs PyTorch) or `.safetensors`; names may begin with
            `module.`.

    Raises:
        ValueError: naming tensors that are missing, extra or of another shape, or tasks in another
            order; nothing is changed then.
        ImportError: if PyTorch is needed and not installed.
    """
    state = {_our_name(name): value for name, value in read_state_dict(path).items()}
    tasks = list(model.arguments["tasks"])
    if pathlib.Path(path).suffix != ".safetensors":
        _check_order(state, tasks)
    places = slots(leaf_layers(model))
    for layer in leaf_layers(model):
        if isinstance(layer, CrossStitchUnit):
            places += _stitches(layer, tasks)
    fill(places, state, pathlib.Path(path).name)


def _our_name(name: str) -> str:
    return ".".join(_TASKS.get(part, part) for part in name.split("."))


def _stitches(unit: CrossStitchUnit, tasks: list[str]) -> list[tuple[str, Slot]]:
    pairs = itertools.product(enumerate(tasks), enumerate(tasks))
    return [
        (f"{unit.name}.cross_stitch_unit.{target}.{source}.param", Slot(unit.mixing, (i, j)))
        for (i, target), (j, source) in pairs
    ]


def _check_order(state: dict[str, Any], tasks: list[str]) -> None:
    """Raises if the layers that concatenate tasks do so in another order than the model."""
    parts = [name.split(".") for name in state if name.startswith("nddr.")]
    order = list(dict.fromkeys(part[3] for part in parts))
    if order and set(order) == set(tasks) and order != tasks:
        raise ValueError(
            f"The checkpoint concatenates the tasks in the order {order}: build the model with "
            f"tasks in that order. Received: {tasks}"
        )
