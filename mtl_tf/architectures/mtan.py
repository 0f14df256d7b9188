"""MTAN: a shared backbone, and per task a chain of soft attention masks on its stages."""

from typing import Any

import keras
from keras import layers

from mtl_tf.architectures.base import Architecture, Blueprint
from mtl_tf.backbones.stage import Maps, Stage, changed
from mtl_tf.layers import bottleneck, task_attention


@keras.saving.register_keras_serializable(package="mtl_tf")
class MTAN(Architecture):
    """One shared backbone whose stages every task looks at through attention masks of its own.

    At each stage but the stem a task's mask is computed from the stage's features before its last
    block and from what the task attended to in the stage before, which a bottleneck shared by the
    tasks has refined; it multiplies the stage's output. Stages with several maps, as HRNet's, have
    a mask for each; a new map follows the coarsest one before it.

    Source: Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019, in the form for
    ResNets of Vandenhende et al., TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        head: a name from `mtl_tf.heads.TABLE`; the backbone's own by default.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, head or stride, or a size that does not fit it.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        head: str | None = None,
        output_stride: int = 8,
        name: str = "mtan",
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride)

        # === Functional model ===
        maps = [blueprint.image]
        # By task, what it sees of each map: of the stage before, and of the whole pyramid.
        attended: dict[str, dict[int, Any]] = {task: {} for task in blueprint.channels}
        pyramids: dict[str, dict[int, Any]] = {task: {} for task in blueprint.channels}
        number = 0
        for stage_name, stage in blueprint.stages().items():
            before, entering, maps = maps, *_around_last_block(stage, maps)
            if stage_name == "stem":
                continue
            number += 1
            made = changed(before, maps)
            now: dict[str, dict[int, Any]] = {task: {} for task in blueprint.channels}
            for i in made:
                suffix = "" if len(made) == 1 else f".{i}"
                x = entering[i]
                refine = None
                for task, earlier in attended.items():
                    inputs = x
                    if earlier:
                        source = earlier[i if i in earlier else max(earlier)]
                        refine = refine or _refinement(source, x, f"refine_{number - 1}{suffix}")
                        inputs = layers.Concatenate()([x, refine(source)])
                    mask = task_attention(
                        inputs, maps[i].shape[-1], f"attention_{number}{suffix}.{task}"
                    )
                    now[task][i] = layers.Multiply()([mask, maps[i]])
            attended = now
            pyramids = {task: {**pyramids[task], **now[task]} for task in pyramids}
        outputs = blueprint.heads(
            {task: [seen[i] for i in sorted(seen)] for task, seen in pyramids.items()}
        )

        # === Config ===
        super().__init__(blueprint, outputs, name)


def _around_last_block(stage: Stage, maps: Maps) -> tuple[Maps, Maps]:
    """The maps before the last block of a stage and after it; after it only if it is the first."""
    *first, last = stage.blocks
    for block in first:
        maps = block(maps)
    after = last(maps)
    return (maps if first else after), after


def _refinement(source: Any, target: Any, name: str) -> keras.Model:
    """A bottleneck to the channels of `target` and pooling to its resolution, to be shared."""
    entrance = keras.Input(source.shape[1:])
    x = bottleneck(entrance, target.shape[-1], name=f"{name}.0")
    if x.shape[1] > target.shape[1]:
        x = layers.MaxPooling2D(x.shape[1] // target.shape[1])(x)
    return keras.Model(entrance, x, name=name)
