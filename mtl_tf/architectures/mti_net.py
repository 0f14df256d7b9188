"""MTI-Net: multi-modal distillation at every scale, propagated from coarse to fine."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, ModelOptions, Tasks
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.heads import high_resolution_head
from mtl_tf.layers import basic_block, conv, distill, resize_to, squeeze_excite

Features = dict[str, keras.KerasTensor]
LAYOUTS = ("across_tasks", "official")


@keras.saving.register_keras_serializable(package="mtl_tf")
class MTINet(Architecture):
    """Features of every task at every scale of the backbone, propagated from coarse to fine.

    At each scale tasks make initial predictions and exchange messages; a feature propagation module
    passes shared and task-specific features to the next finer scale. Final heads use all scales.

    Source: Vandenhende et al., "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task
    Learning", ECCV 2020.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied; sizes halve from each to the next.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        auxiliary_tasks: tasks with initial predictions, a superset of `tasks`; by default `tasks`.
            To train them, pass them to the trainer as well.
        propagation: axis of the softmax attention of the feature propagation module:
            `"across_tasks"`, as in the paper, or `"official"`, adjacent channels of the
            concatenated features, as in the survey's code and required by its checkpoints.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage; 32
            keeps four scales.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task and scale s,
    `{"task/initial/s": raw prediction [B, h_s, w_s, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone, layout or stride, an invalid input
            size, or auxiliary tasks that leave out a task.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.MTINet("resnet18", tasks, (32, 32, 3))
        >>> model.output["parts"].shape, model.output["parts/initial/3"].shape
        ((None, 32, 32, 5), (None, 1, 1, 5))
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        auxiliary_tasks: Tasks | None = None,
        propagation: str = "across_tasks",
        output_stride: int = 32,
        name: str = "mti_net",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(
            backbone, tasks, input_shape, auxiliary_tasks, output_stride, kwargs
        )
        if propagation not in LAYOUTS:
            raise ValueError(f"propagation must be one of {LAYOUTS}. Received: {propagation!r}")

        # === Functional model ===
        pyramid = blueprint.features()
        distilled: dict[str, list[keras.KerasTensor]] = {task: [] for task in blueprint.channels}
        propagated: Features = {}
        for s in reversed(range(len(pyramid))):
            features = _refined(blueprint, pyramid[s], propagated, s)
            messages = distill(
                features, list(blueprint.channels), "source", f"distillation_scale_{s}"
            )
            for task, x in messages.items():
                distilled[task].insert(0, x)
            if s > 0:
                propagated = _feature_propagation(features, propagation, f"fpm_scale_{s}")
        outputs = {
            task: blueprint.output(
                high_resolution_head(distilled[task], channels, f"heads.{task}"), task
            )
            for task, channels in blueprint.channels.items()
        }

        # === Config ===
        outputs = {**outputs, **dict(sorted(blueprint.predictions.items()))}
        super().__init__(blueprint, outputs, name, propagation=propagation)


def _refined(
    blueprint: DecoderBlueprint, x: keras.KerasTensor, propagated: Features, s: int
) -> Features:
    """Return the features of each task at scale s, from the backbone and the coarser scale."""
    features = {}
    for task in blueprint.auxiliary:
        y = x
        if propagated:
            y = layers.Concatenate()([x, resize_to(propagated[task], x.shape[1], x.shape[2])])
        for i in range(2):
            y = basic_block(y, x.shape[-1], name=f"scale_{s}.refinement.{task}.{i}")
        blueprint.initial(y, task, f"scale_{s}.decoders.{task}", f"/{s}")
        features[task] = y
    return features


def _feature_propagation(features: Features, layout: str, name: str) -> Features:
    """Apply the feature propagation module: shared features, rescaled per task, plus its own."""
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
        task: layers.Add()([squeeze_excite(shared, f"{name}.se.{task}.squeeze"), y])
        for task, y in features.items()
    }
