"""NDDR-CNN: one network per task, a 1x1 convolution of all features per stage (Gao 2019)."""

from typing import Any

import keras

from mtl_tf.architectures.base import Blueprint
from mtl_tf.architectures.soft_sharing import SoftSharing, in_step
from mtl_tf.layers import nddr_layer

# The stages' names in the survey's checkpoints.
_STAGES = {"stem": "conv", "layer1": "layer1_without_conv"}


@keras.saving.register_keras_serializable(package="mtl_tf")
class NDDRCNN(SoftSharing):
    """One network per task; after every stage each takes a 1x1 convolution of all features.

    Begin from trained single-task networks with `load_single_task`. The paper trains with SGD and
    lets these layers learn 100 times faster: `learning_rate_multiplier=100`.

    Source: Gao et al., "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural
    Discriminative Dimensionality Reduction", CVPR 2019, as built by Vandenhende et al., TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        head: a name from `mtl_tf.heads.TABLE`; the backbone's own by default.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        own: weight of a task's own features at first; the other tasks share `1 - own` (the survey
            takes 0.9 on NYUD and 0.8 on PASCAL).
        learning_rate_multiplier: how many times faster than the rest the NDDR layers learn; with
            `MultiTaskTrainer`.
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
        own: float = 0.9,
        learning_rate_multiplier: float = 1.0,
        name: str = "nddr_cnn",
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride)

        def exchange(features: dict[str, Any], stage: str) -> dict[str, Any]:
            layer = f"nddr.{_STAGES.get(stage, stage)}.layer"
            return nddr_layer(features, layer, own, learning_rate_multiplier)

        # === Functional model ===
        outputs = blueprint.heads(in_step(blueprint, exchange)[-1])

        # === Config ===
        super().__init__(
            blueprint,
            outputs,
            name,
            own=own,
            learning_rate_multiplier=learning_rate_multiplier,
        )
