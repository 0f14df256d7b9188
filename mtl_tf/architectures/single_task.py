"""Single task: one backbone and one head, the reference of every multi-task model."""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks


@keras.saving.register_keras_serializable(package="mtl_tf")
class SingleTask(Architecture):
    """One backbone and one head for one task: the baseline of Delta-m.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: exactly one task: `{task: channels}` or a list with one `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Attributes:
        stage_maps: `{stage: the symbolic maps after it}` of the backbone.

    Raises:
        ValueError: for more than one task, an unknown backbone, head or stride, or an invalid
            input size.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"heat": 1}
        >>> model = mtl.architectures.SingleTask("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        head: str | None = None,
        output_stride: int = 8,
        name: str = "single_task",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)
        if len(blueprint.channels) != 1:
            raise ValueError(
                "SingleTask has exactly one task; use SharedTrunk for more. Received: "
                f"{blueprint.channels}"
            )
        (task,) = blueprint.channels

        # === Functional model ===
        outputs = {task: blueprint.head(blueprint.features(), task, "decoder")}

        # === Config ===
        super().__init__(blueprint, outputs, name)
        self.stage_maps = blueprint.stage_maps
