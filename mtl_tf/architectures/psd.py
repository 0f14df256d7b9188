"""PSD: local pattern structures, diffused within each task and across tasks."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, ModelOptions, Tasks
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import LocalAffinity, LocalDiffusion, SoftmaxMixture, conv

_CHANNELS, _EMBEDDING, _STRIDE = 128, 32, 8
_SIZE, _DILATIONS = 5, (1, 2)


@keras.saving.register_keras_serializable(package="mtl_tf")
class PSD(Architecture):
    """Features of every auxiliary task, diffused along affinities in local windows.

    Each task's features are diffused along its affinities, in windows of increasing dilation, then
    along a mixture of the affinities of all tasks, gated by the features of the source task.

    Source: Zhou et al., "Pattern-Structure Diffusion for Multi-Task Learning", CVPR 2020; window
    and channel sizes are choices of this library.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. A ResNet's last stage is used, all stages
            of others, at an eighth of the image's resolution.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        auxiliary_tasks: tasks with initial predictions, a superset of `tasks`; by default `tasks`.
            To train them, pass them to the trainer as well.
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
        >>> model = mtl.architectures.PSD("resnet18", tasks, (32, 32, 3))
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
        output_stride: int = 8,
        name: str = "psd",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(
            backbone, tasks, input_shape, auxiliary_tasks, output_stride, kwargs
        )

        # === Functional model ===
        features = blueprint.task_features(blueprint.fused_features(), _CHANNELS, _STRIDE)
        for i, dilation in enumerate(_DILATIONS):
            features = {
                task: _diffused(x, _affinity(x, dilation, f"intra.{task}.{i}"), dilation)
                for task, x in features.items()
            }
        # === Across tasks ===
        gated = {}
        for task, x in features.items():
            gate = keras.ops.sigmoid(conv(x, 1, use_bias=True, name=f"pattern.{task}.gate"))
            gated[task] = layers.Multiply()([_affinity(x, 1, f"pattern.{task}"), gate])
        diffused = {}
        for task in blueprint.channels:
            others = [affinity for other, affinity in gated.items() if other != task]
            mixed = SoftmaxMixture(name=f"inter.{task}.mixture")([*others, gated[task]])
            diffused[task] = _diffused(features[task], mixed, 1)
        outputs = blueprint.final(diffused)

        # === Config ===
        super().__init__(blueprint, outputs, name)


def _affinity(x: keras.KerasTensor, dilation: int, name: str) -> keras.KerasTensor:
    queries = conv(x, _EMBEDDING, name=f"{name}.query")
    keys = conv(x, _EMBEDDING, name=f"{name}.key")
    return LocalAffinity(_SIZE, dilation)(queries, keys)


def _diffused(
    x: keras.KerasTensor, affinity: keras.KerasTensor, dilation: int
) -> keras.KerasTensor:
    """Return `x` plus its diffusion along the affinities."""
    return layers.Add()([x, LocalDiffusion(_SIZE, dilation)(affinity, x)])
