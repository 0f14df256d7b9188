"""PAD-Net: initial predictions of all tasks, whose features tell each other through gates."""

from typing import Any

import keras

from mtl_tf.architectures.base import Architecture
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import distill

_CHANNELS = 256


@keras.saving.register_keras_serializable(package="mtl_tf")
class PADNet(Architecture):
    """Features of every auxiliary task, messages between them through gates, then final heads.

    Source: Xu et al., "PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network for
    Simultaneous Depth Estimation and Scene Parsing", CVPR 2018, as built by Vandenhende et al.,
    TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. A ResNet's last stage is used, all stages
            of others.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        auxiliary_tasks: the tasks with initial predictions, `tasks` among them; those by default.
            Train them by giving them to the trainer as well.
        gate: what gates are computed from: `"source"`, the sending task, as the survey's code;
            `"target"`, the receiving one, as the paper; `"survey"`, as the survey's equation 2,
            where the gated features are the sender's own. See `mtl_tf.layers.distill`.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task,
    `{"task/initial": raw prediction [B, h, w, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, gate or stride, a size that does not fit the backbone,
            or auxiliary tasks that leave out a task.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        auxiliary_tasks: Any = None,
        gate: str = "source",
        output_stride: int = 8,
        name: str = "pad_net",
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(backbone, tasks, input_shape, auxiliary_tasks, output_stride)

        # === Functional model ===
        features = blueprint.task_features(blueprint.fused_features(), _CHANNELS)
        distilled = distill(features, list(blueprint.channels), gate, "multi_modal_distillation")
        outputs = blueprint.final(distilled)

        # === Config ===
        super().__init__(blueprint, outputs, name, gate=gate)
