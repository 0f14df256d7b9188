"""Stages of a backbone: blocks from feature maps to feature maps.

Architectures that share stages, copy them or exchange features between them need no more of a
backbone than this.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

Maps = list[Any]
Block = Callable[[Maps], Maps]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a backbone: its blocks, one after another.

    A block takes the list of maps `[B, h, w, C]` that exist before it, finest first, and returns
    those that exist after it. The first stage is given the image; after the last stage the list is
    the backbone's pyramid.

    Attributes:
        blocks: the blocks, in order.
    """

    blocks: tuple[Block, ...]

    def __call__(self, maps: Maps) -> Maps:
        """The maps after all blocks."""
        for block in self.blocks:
            maps = block(maps)
        return maps


def after_each(stages: Mapping[str, Stage], image: Any) -> dict[str, Maps]:
    """Runs stages one after another; `{stage: maps after it}`."""
    found, maps = {}, [image]
    for name, stage in stages.items():
        found[name] = maps = stage(maps)
    return found


def replacing(function: Callable[[Any], Any]) -> Block:
    """A block that applies `function` to the last map and puts its result in that map's place."""
    return lambda maps: [*maps[:-1], function(maps[-1])]


def appending(function: Callable[[Any], Any]) -> Block:
    """A block that applies `function` to the last map and appends its result."""
    return lambda maps: [*maps, function(maps[-1])]


def changed(before: Maps, after: Maps) -> list[int]:
    """Return the outputs of a stage that differ from its inputs.

    Args:
        before: the maps before it.
        after: the maps after it.

    Returns:
        The positions in `after` of maps that are not in `before`.
    """
    return [i for i, x in enumerate(after) if not any(x is y for y in before)]


def stages_of(model: keras.Model, prefix: str) -> dict[str, Stage]:
    """The stages of a copy of a functional model: one from each of its outputs to the next.

    Args:
        model: functional model from images to a list (or dictionary, or single one) of stage
            features, finest first.
        prefix: put before the names of the stages.

    Returns:
        `stage1`, `stage2`, ...; a single one where a feature needs more than the one before it. The
        weights are copies of the model's.
    """
    is_plain = type(model) is type(keras.Model(model.inputs, model.outputs))
    copy: Any = (
        keras.models.clone_model(model) if is_plain else type(model).from_config(model.get_config())
    )
    copy.set_weights(model.get_weights())
    outputs = pyramid(copy.output)
    pieces = _pieces(copy.inputs[0], outputs, prefix)
    if pieces is None:
        whole = keras.Model(copy.inputs[0], outputs, name=f"{prefix}stage1")
        return {"stage1": Stage((lambda maps: pyramid(whole(maps[-1])),))}
    blocks = [replacing(pieces[0]), *map(appending, pieces[1:])]
    return {f"stage{i}": Stage((block,)) for i, block in enumerate(blocks, start=1)}


def pyramid(outputs: Any) -> Maps:
    """The outputs of a backbone as a list."""
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _pieces(image: Any, outputs: Maps, prefix: str) -> list[keras.Model] | None:
    """The models between successive outputs; `None` if one needs more than the output before."""
    pieces, before = [], image
    for i, output in enumerate(outputs, start=1):
        try:
            pieces.append(keras.Model(before, output, name=f"{prefix}stage{i}"))
        except ValueError:
            return None
        before = output
    return pieces
