"""PAP-Net: features of each task diffused along the affinities of all tasks."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, ModelOptions, Tasks
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import AffinityPropagation, conv, conv_block, resize_to

_CHANNELS, _EMBEDDING, _STRIDE = 256, 64, 8


@keras.saving.register_keras_serializable(package="mtl_tf")
class PAPNet(Architecture):
    """Features of every auxiliary task; affinities between all positions, mixed across tasks.

    Features are diffused between positions along the affinities. These matrices of all pairs of
    positions are never stored (`mtl_tf.ops.affinity_diffusion`), so that images of 480x640 and
    above can be trained.

    Source: Zhang et al., "Pattern-Affinitive Propagation across Depth, Surface Normal and Semantic
    Segmentation", CVPR 2019; sizes of embeddings and decoder are choices of this library.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. A ResNet's last stage is used, all stages
            of others, at an eighth of the image's resolution.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        auxiliary_tasks: tasks with initial predictions, a superset of `tasks`; by default `tasks`.
            To train them, pass them to the trainer as well.
        steps: number of diffusion steps.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task,
    `{"task/initial": raw prediction [B, h, w, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, an invalid input shape, or
            auxiliary tasks that leave out a task.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.PAPNet("resnet18", tasks, (32, 32, 3))
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
        steps: int = 2,
        output_stride: int = 8,
        name: str = "pap_net",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(
            backbone, tasks, input_shape, auxiliary_tasks, output_stride, kwargs
        )

        # === Functional model ===
        features = blueprint.task_features(blueprint.fused_features(), _CHANNELS, _STRIDE)
        embeddings = [
            conv(x, _EMBEDDING, use_bias=True, name=f"affinity.{task}")
            for task, x in features.items()
        ]
        undiffused = [features[task] for task in blueprint.channels]
        diffused = AffinityPropagation(steps, name="propagation")(embeddings, undiffused)
        outputs = {}
        for (task, channels), before, after in zip(
            blueprint.channels.items(), undiffused, diffused, strict=True
        ):
            after = conv(after, _CHANNELS, use_bias=True, name=f"propagation.{task}")
            x = layers.Add()([before, after])
            for i in range(2):
                x = resize_to(x, 2 * x.shape[1], 2 * x.shape[2])
                names = (f"heads.{task}.{i}.conv", f"heads.{task}.{i}.bn")
                x = conv_block(x, _CHANNELS >> (i + 1), 3, names=names)
            prediction = conv(x, channels, use_bias=True, name=f"heads.{task}.predict")
            outputs[task] = blueprint.output(prediction, task)

        # === Config ===
        super().__init__(blueprint, {**outputs, **blueprint.predictions}, name, steps=steps)
