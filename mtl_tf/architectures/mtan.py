"""MTAN: a shared backbone, and per task a sequence of soft attention masks on its stages."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.backbones.stage import Maps, Stage, changed
from mtl_tf.layers import bottleneck, pool_to, task_attention


@keras.saving.register_keras_serializable(package="mtl_tf")
class MTAN(Architecture):
    """One shared backbone with task-specific attention masks on its stages.

    At each stage except the stem, a task's mask is computed from the stage's features before its
    last block and from the task's attended features of the previous stage, refined by a bottleneck
    that tasks share; the mask multiplies the stage's output. Stages with several maps, as in HRNet,
    have one mask per map; a new map continues the coarsest previous one.

    Source: Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019, in the form for
    ResNets of Vandenhende et al., TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, head or stride, or an invalid input shape.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.MTAN("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'parts']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        head: str | None = None,
        output_stride: int = 8,
        name: str = "mtan",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)

        # === Functional model ===
        maps = [blueprint.image]
        # Attended features by task and map: of the previous stage, and of the whole pyramid.
        attended: dict[str, dict[int, keras.KerasTensor]] = {
            task: {} for task in blueprint.channels
        }
        pyramids: dict[str, dict[int, keras.KerasTensor]] = {
            task: {} for task in blueprint.channels
        }
        index = 0
        for stage_name, stage in blueprint.stages().items():
            inputs, before_last, maps = maps, *_around_last_block(stage, maps)
            if stage_name == "stem":
                continue
            index += 1
            new = changed(inputs, maps)
            current: dict[str, dict[int, keras.KerasTensor]] = {
                task: {} for task in blueprint.channels
            }
            for i in new:
                suffix = "" if len(new) == 1 else f".{i}"
                x = before_last[i]
                refine = None
                for task, previous in attended.items():
                    mask_input = x
                    if previous:
                        source = previous[i if i in previous else max(previous)]
                        refine = refine or _refinement(source, x, f"refine_{index - 1}{suffix}")
                        mask_input = layers.Concatenate()([x, refine(source)])
                    mask = task_attention(
                        mask_input, maps[i].shape[-1], f"attention_{index}{suffix}.{task}"
                    )
                    current[task][i] = layers.Multiply()([mask, maps[i]])
            attended = current
            pyramids = {task: {**pyramids[task], **current[task]} for task in pyramids}
        outputs = blueprint.heads({task: [x[i] for i in sorted(x)] for task, x in pyramids.items()})

        # === Config ===
        super().__init__(blueprint, outputs, name)


def _around_last_block(stage: Stage, maps: Maps) -> tuple[Maps, Maps]:
    """Return the maps before and after the last block of a stage.

    For a stage of a single block, both are the maps after it.
    """
    *first, last = stage.blocks
    for block in first:
        maps = block(maps)
    after = last(maps)
    return (maps if first else after), after


def _refinement(source: keras.KerasTensor, target: keras.KerasTensor, name: str) -> keras.Model:
    """Return a bottleneck to the channels of `target` and pooling to its resolution, as a model."""
    inputs = keras.Input(source.shape[1:])
    x = bottleneck(inputs, target.shape[-1], name=f"{name}.0")
    if x.shape[1] > target.shape[1]:
        x = pool_to(x, target.shape[1], target.shape[2], layers.MaxPooling2D)
    return keras.Model(inputs, x, name=name)
