"""Shared trunk: one backbone, one head per task (hard parameter sharing; Caruana 1997).

The "multi-task baseline" of Vandenhende et al., TPAMI 2021, section 2.2.
"""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.layers import ChannelScaling


@keras.saving.register_keras_serializable(package="mtl_tf")
class SharedTrunk(Architecture):
    """One backbone shared by all tasks, one head for each.

    Source: Caruana 1997; the multi-task baseline of Vandenhende et al., TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        modulation: whether each task has learned scales of the channels of the shared features
            (Zhao et al., ECCV 2018), which reduces conflicts between tasks in the trunk.
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
        >>> model = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3))
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
        modulation: bool = False,
        name: str = "shared_trunk",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)

        # === Functional model ===
        features = blueprint.features()
        outputs = {}
        for task in blueprint.channels:
            modulated = features
            if modulation:
                modulated = [
                    ChannelScaling(name=f"modulation.{task}.{s}")(stage)
                    for s, stage in enumerate(features)
                ]
            outputs[task] = blueprint.head(modulated, task, f"decoders.{task}")

        # === Config ===
        super().__init__(blueprint, outputs, name, modulation=modulation)
