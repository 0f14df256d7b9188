"""MTI-Net: distillation between tasks at every scale, each told by the coarser one."""

from typing import Any

import keras
from keras import layers

from mtl_tf.architectures.base import Architecture
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.heads import high_resolution_head
from mtl_tf.layers import basic_block, conv, distill, resize_to, squeeze_excite

LAYOUTS = ("across_tasks", "official")


@keras.saving.register_keras_serializable(package="mtl_tf")
class MTINet(Architecture):
    """Features of every task at every scale of the backbone, propagated from coarse to fine.

    At each scale tasks make initial predictions and send messages to each other; a feature
    propagation module hands what tasks share, and each task's own part of it, to the next finer
    scale. Final heads see all scales.

    Source: Vandenhende et al., "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task
    Learning", ECCV 2020.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied; sizes halve from each to the next.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        auxiliary_tasks: the tasks with initial predictions, `tasks` among them; those by default.
            Train them by giving them to the trainer as well.
        propagation: what the attention of the feature propagation module is a softmax over:
            `"across_tasks"`, as the paper says, or `"official"`, neighbouring channels of the
            concatenated features, as the survey's code does and its checkpoints need.
        output_stride: down-sampling factor of a named ResNet's last stage; 32 keeps four scales.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task and scale s,
    `{"task/initial/s": raw prediction [B, h_s, w_s, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, layout or stride, a size that does not fit the
            backbone, or auxiliary tasks that leave out a task.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        auxiliary_tasks: Any = None,
        propagation: str = "across_tasks",
        output_stride: int = 32,
        name: str = "mti_net",
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(backbone, tasks, input_shape, auxiliary_tasks, output_stride)
        if propagation not in LAYOUTS:
            raise ValueError(f"propagation must be one of {LAYOUTS}. Received: {propagation!r}")

        # === Functional model ===
        pyramid = blueprint.features()
        distilled: dict[str, list[Any]] = {task: [] for task in blueprint.channels}
        told: dict[str, Any] = {}
        for s in reversed(range(len(pyramid))):
            features = _refined(blueprint, pyramid[s], told, s)
            messages = distill(
                features, list(blueprint.channels), "source", f"distillation_scale_{s}"
            )
            for task, x in messages.items():
                distilled[task].insert(0, x)
            if s > 0:
                told = _propagated(features, propagation, f"fpm_scale_{s}")
        outputs = {
            task: blueprint.output(
                high_resolution_head(distilled[task], channels, f"heads.{task}"), task
            )
            for task, channels in blueprint.channels.items()
        }

        # === Config ===
        outputs = {**outputs, **dict(sorted(blueprint.predictions.items()))}
        super().__init__(blueprint, outputs, name, propagation=propagation)


def _refined(blueprint: DecoderBlueprint, x: Any, told: dict[str, Any], s: int) -> dict[str, Any]:
    """Each task's features at scale s, from the backbone's and what the coarser scale told."""
    found = {}
    for task in blueprint.auxiliary:
        y = x
        if told:
            y = layers.Concatenate()([x, resize_to(told[task], x.shape[1], x.shape[2])])
        for i in range(2):
            y = basic_block(y, x.shape[-1], name=f"scale_{s}.refinement.{task}.{i}")
        blueprint.initial(y, task, f"scale_{s}.decoders.{task}", f"/{s}")
        found[task] = y
    return found


def _propagated(features: dict[str, Any], layout: str, name: str) -> dict[str, Any]:
    """The feature propagation module: what tasks share, weighed for each, plus its own features."""
    num, (_, height, width, channels) = len(features), next(iter(features.values())).shape
    x = layers.Concatenate()(list(features.values())) if num > 1 else next(iter(features.values()))
    inner = max(num * channels // 4, 1)
    mask = basic_block(x, inner, name=f"{name}.non_linear.0")
    mask = basic_block(mask, inner, name=f"{name}.non_linear.1")
    mask = conv(mask, num * channels, 1, use_bias=True, name=f"{name}.non_linear.2")
    if layout == "across_tasks":
        shape, axis = (height, width, num, channels), -2
    else:
        shape, axis = (height, width, channels, num), -1
    mask = layers.Softmax(axis=axis)(layers.Reshape(shape)(mask))
    x = layers.Multiply()([x, layers.Reshape((height, width, num * channels))(mask)])
    shared = basic_block(x, channels, name=f"{name}.dimensionality_reduction")
    return {
        task: layers.Add()([squeeze_excite(shared, f"{name}.se.{task}.squeeze"), own])
        for task, own in features.items()
    }
