"""Deep supervision: auxiliary tasks and initial predictions."""

from collections.abc import Mapping

import keras

from mtl_tf import backbones
from mtl_tf.architectures.base import Blueprint, ModelOptions, Tasks, task_channels
from mtl_tf.heads import high_resolution_fuse
from mtl_tf.layers import bottleneck, conv


class DecoderBlueprint(Blueprint):
    """Building blocks of a decoder-focused architecture: auxiliary tasks and initial predictions.

    Args:
        backbone: see `Blueprint`.
        tasks: tasks of the final predictions, `{task: channels}` or `mtl_tf.Task`s.
        input_shape: `(H, W, 3)`.
        auxiliary_tasks: tasks with initial predictions, a superset of `tasks`; by default `tasks`.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        options: options of the model.

    Attributes:
        auxiliary: `{auxiliary task: channels}`.
        predictions: `{"task/initial...": raw prediction [B, h, w, channels]}`, added by `initial`.

    Raises:
        ValueError: as `Blueprint`, and if `auxiliary_tasks` lacks a task of `tasks`.

    Examples:
        >>> blueprint = DecoderBlueprint("resnet18", {"heat": 1}, (32, 32, 3), None, 32)
        >>> blueprint.task_features(blueprint.fused_features(), 64)["heat"].shape
        (None, 1, 1, 64)
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        auxiliary_tasks: Tasks | None,
        output_stride: int,
        options: ModelOptions | None = None,
    ) -> None:
        super().__init__(backbone, tasks, input_shape, None, output_stride, options)
        self.auxiliary = (
            self.channels if auxiliary_tasks is None else task_channels(auxiliary_tasks)
        )
        if not self.channels.items() <= self.auxiliary.items():
            raise ValueError(
                "auxiliary_tasks must hold all tasks, with the same channels. Received: tasks "
                f"{self.channels}, auxiliary_tasks {self.auxiliary}"
            )
        self.arguments["auxiliary_tasks"] = self.auxiliary
        self.predictions: dict[str, keras.KerasTensor] = {}

    def fused_features(self) -> keras.KerasTensor:
        """Return one map of the backbone: the last stage of a ResNet, else all stages fused."""
        backbone = self.arguments["backbone"]
        is_named = isinstance(backbone, str)
        if is_named and backbones.backbone_entry(backbone).head == "deeplab":
            return self.features()[-1]
        return high_resolution_fuse(self.features("backbone.0."), "backbone.1")

    def initial(self, x: keras.KerasTensor, task: str, name: str, suffix: str = "") -> None:
        """Add the initial prediction of `task` from its features to the outputs.

        Args:
            x: features `[B, h, w, C]`.
            task: an auxiliary task.
            name: name of the convolution.
            suffix: suffix of the output's name after `task/initial`.
        """
        prediction = conv(x, self.auxiliary[task], 1, use_bias=True, name=name)
        output = keras.layers.Activation("linear", dtype="float32")(prediction)
        self.predictions[f"{task}/initial{suffix}"] = output

    def task_features(
        self, x: keras.KerasTensor, channels: int, stride: int = 1
    ) -> dict[str, keras.KerasTensor]:
        """Apply two bottlenecks and an initial prediction for each auxiliary task.

        Args:
            x: shared features `[B, h, w, C]`.
            channels: channels of the tasks' features.
            stride: minimum down-sampling factor of the tasks' features relative to the image.

        Returns:
            `{task: [B, h', w', channels]}`.
        """
        heads = "initial_task_prediction_heads"
        strides = max(1, stride * x.shape[1] // self.image.shape[1])
        features = {}
        for task in self.auxiliary:
            y = bottleneck(x, channels, strides, name=f"{heads}.layers.{task}.0")
            y = bottleneck(y, channels, name=f"{heads}.layers.{task}.1")
            self.initial(y, task, f"{heads}.conv_out.{task}")
            features[task] = y
        return features

    def final(self, features: Mapping[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
        """Return all outputs: a head of two bottlenecks per task, and the initial predictions."""
        outputs = {}
        for task, channels in self.channels.items():
            x = features[task]
            for i in range(2):
                x = bottleneck(x, x.shape[-1], name=f"heads.{task}.{i}")
            prediction = conv(x, channels, 1, use_bias=True, name=f"heads.{task}.2")
            outputs[task] = self.output(prediction, task)
        return {**outputs, **self.predictions}
