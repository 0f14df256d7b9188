"""Stages of a backbone: blocks from feature maps to feature maps.

The interface of a backbone for architectures that share stages, copy them or exchange features
between them.
"""

import dataclasses
from collections.abc import Callable, Mapping

import keras

Maps = list[keras.KerasTensor]
Block = Callable[[Maps], Maps]

OUTPUT_STRIDES = (8, 16, 32)
"""Possible down-sampling factors of the last stage of a dilated backbone."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a backbone: a sequence of blocks.

    A block maps the list of feature maps `[B, h, w, C]` before it, finest first, to the list after
    it. The input of the first stage is the image; the list after the last stage is the pyramid of
    the backbone.

    Attributes:
        blocks: the blocks, in order.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> stages = mtl.backbones.stages("resnet18", output_stride=32)
        >>> [x.shape for x in stages["stem"]([keras.Input((64, 64, 3))])]
        [(None, 16, 16, 64)]
    """

    blocks: tuple[Block, ...]

    def __call__(self, maps: Maps) -> Maps:
        """Return the maps after all blocks."""
        for block in self.blocks:
            maps = block(maps)
        return maps


def after_each(stages: Mapping[str, Stage], image: keras.KerasTensor) -> dict[str, Maps]:
    """Apply stages in sequence and return `{stage: maps after it}`."""
    stage_maps, maps = {}, [image]
    for name, stage in stages.items():
        stage_maps[name] = maps = stage(maps)
    return stage_maps


def check_output_stride(output_stride: int) -> None:
    """Check an output stride.

    Args:
        output_stride: down-sampling factor of the last stage.

    Raises:
        ValueError: if it is not in `OUTPUT_STRIDES`.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(
            f"output_stride must be one of {OUTPUT_STRIDES}. Received: {output_stride}"
        )


def replacing(function: Callable[[keras.KerasTensor], keras.KerasTensor]) -> Block:
    """Return a block that replaces the last map by `function` of it."""
    return lambda maps: [*maps[:-1], function(maps[-1])]


def appending(function: Callable[[keras.KerasTensor], keras.KerasTensor]) -> Block:
    """Return a block that appends `function` of the last map."""
    return lambda maps: [*maps, function(maps[-1])]


def changed(before: Maps, after: Maps) -> list[int]:
    """Return the indices of the outputs of a stage that are not inputs of it.

    Args:
        before: the maps before it.
        after: the maps after it.

    Returns:
        The indices in `after` of maps that are not in `before`.
    """
    return [i for i, x in enumerate(after) if not any(x is y for y in before)]


def stages_of(model: keras.Model, prefix: str) -> dict[str, Stage]:
    """Return the stages of a copy of a functional model, one from each output to the next.

    Args:
        model: functional model from images to a list (or dictionary, or single one) of stage
            features, finest first.
        prefix: prefix of the stages' names.

    Returns:
        `stage1`, `stage2`, ...; a single stage where a feature needs more than the previous one.
        The weights are copies of the model's.
    """
    is_plain = type(model) is type(keras.Model(model.inputs, model.outputs))
    copy: keras.Model = (
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


def pyramid(outputs: Maps | Mapping[str, keras.KerasTensor] | keras.KerasTensor) -> Maps:
    """Return the outputs of a backbone as a list."""
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _pieces(image: keras.KerasTensor, outputs: Maps, prefix: str) -> list[keras.Model] | None:
    """Return the models between successive outputs, `None` if one needs more than the previous."""
    pieces, previous = [], image
    for i, output in enumerate(outputs, start=1):
        try:
            pieces.append(keras.Model(previous, output, name=f"{prefix}stage{i}"))
        except ValueError:
            return None
        previous = output
    return pieces
