"""PAD-Net: initial predictions of all tasks and multi-modal distillation between them."""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, ModelOptions, Tasks
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import distill

_CHANNELS = 256


@keras.saving.register_keras_serializable(package="mtl_tf")
class PADNet(Architecture):
    """Features of every auxiliary task, gated messages between them, and final heads.

    Source: Xu et al., "PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network for
    Simultaneous Depth Estimation and Scene Parsing", CVPR 2018, as built by Vandenhende et al.,
    TPAMI 2021.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. A ResNet's last stage is used, all stages
            of others.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        auxiliary_tasks: tasks with initial predictions, a superset of `tasks`; by default `tasks`.
            To train them, pass them to the trainer as well.
        gate: input of the gates: `"source"`, the source task, as in the survey's code; `"target"`,
            the target task, as in the paper; `"survey"`, as in equation 2 of the survey, which
            gates the features of the source task directly. See `mtl_tf.layers.distill`.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task,
    `{"task/initial": raw prediction [B, h, w, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, gate or stride, an invalid input shape,
            or auxiliary tasks that leave out a task.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.PADNet("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'heat/initial', 'parts', 'parts/initial']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        auxiliary_tasks: Tasks | None = None,
        gate: str = "source",
        output_stride: int = 8,
        name: str = "pad_net",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(
            backbone, tasks, input_shape, auxiliary_tasks, output_stride, kwargs
        )

        # === Functional model ===
        features = blueprint.task_features(blueprint.fused_features(), _CHANNELS)
        distilled = distill(features, list(blueprint.channels), gate, "multi_modal_distillation")
        outputs = blueprint.final(distilled)

        # === Config ===
        super().__init__(blueprint, outputs, name, gate=gate)
