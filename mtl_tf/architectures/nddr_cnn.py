"""NDDR-CNN: one network per task, a 1x1 convolution of all features per stage (Gao 2019)."""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Blueprint, ModelOptions, Tasks
from mtl_tf.architectures.soft_sharing import Features, SoftSharing, apply_with_exchange
from mtl_tf.layers import nddr_layer

# Names of the stages in the survey's checkpoints.
_STAGES = {"stem": "conv", "layer1": "layer1_without_conv"}


@keras.saving.register_keras_serializable(package="mtl_tf")
class NDDRCNN(SoftSharing):
    """One network per task; after every stage, 1x1 convolutions of the features of all tasks.

    Initialise from trained single-task networks by `load_single_task`. The paper trains with SGD
    and a 100 times larger learning rate of these layers: `learning_rate_multiplier=100`.

    Source: Gao et al., "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural
    Discriminative Dimensionality Reduction", CVPR 2019, as built by Vandenhende et al., TPAMI 2021.

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
        learning_rate_multiplier: multiplier of the learning rate of the NDDR layers, applied by
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
        >>> model = mtl.architectures.NDDRCNN("resnet18", tasks, (32, 32, 3))
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
        learning_rate_multiplier: float = 1.0,
        name: str = "nddr_cnn",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)

        def exchange(features: Features, stage: str) -> Features:
            layer = f"nddr.{_STAGES.get(stage, stage)}.layer"
            return nddr_layer(
                features, layer, own=own, learning_rate_multiplier=learning_rate_multiplier
            )

        # === Functional model ===
        outputs = blueprint.heads(apply_with_exchange(blueprint, exchange)[-1])

        # === Config ===
        super().__init__(
            blueprint, outputs, name, own=own, learning_rate_multiplier=learning_rate_multiplier
        )
