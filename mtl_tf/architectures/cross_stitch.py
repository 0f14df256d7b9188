"""Cross-stitch networks: one network per task, linear mixtures after every stage (Misra 2016)."""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Blueprint, ModelOptions, Tasks
from mtl_tf.architectures.soft_sharing import Features, SoftSharing, apply_with_exchange
from mtl_tf.layers import CrossStitchUnit


@keras.saving.register_keras_serializable(package="mtl_tf")
class CrossStitch(SoftSharing):
    """One network per task; after every stage except the stem, linear mixtures of all features.

    Initialise from trained single-task networks by `load_single_task`. The papers train with SGD
    and a 100 to 1000 times larger learning rate of the mixing weights:
    `learning_rate_multiplier=100`.

    Source: Misra et al., "Cross-Stitch Networks for Multi-Task Learning", CVPR 2016, as built by
    Vandenhende et al., TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        own: initial weight of a task's own features; the other tasks share `1 - own` (survey: 0.9
            on NYUD, 0.8 on PASCAL).
        per_channel: whether there is one weight per pair of tasks and channel, or one per pair.
        learning_rate_multiplier: multiplier of the learning rate of the mixing weights, applied by
            `MultiTaskTrainer`.
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
        >>> model = mtl.architectures.CrossStitch("resnet18", tasks, (32, 32, 3))
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
        own: float = 0.9,
        per_channel: bool = True,
        learning_rate_multiplier: float = 1.0,
        name: str = "cross_stitch",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)

        def exchange(features: Features, stage: str) -> Features:
            if stage == "stem":
                return features
            unit = CrossStitchUnit(
                own,
                per_channel=per_channel,
                learning_rate_multiplier=learning_rate_multiplier,
                name=f"cross_stitch.{stage}",
            )
            return dict(zip(features, unit(list(features.values())), strict=True))

        # === Functional model ===
        outputs = blueprint.heads(apply_with_exchange(blueprint, exchange)[-1])

        # === Config ===
        super().__init__(
            blueprint,
            outputs,
            name,
            own=own,
            per_channel=per_channel,
            learning_rate_multiplier=learning_rate_multiplier,
        )
