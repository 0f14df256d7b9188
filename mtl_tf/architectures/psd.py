"""PSD: local pattern structures of each task, spread within it and handed to the others."""

from typing import Any

import keras
from keras import layers

from mtl_tf.architectures.base import Architecture
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import LocalAffinity, LocalDiffusion, SoftmaxMixture, conv

_CHANNELS, _EMBEDDING, _STRIDE = 128, 32, 8
_SIZE, _DILATIONS = 5, (1, 2)


@keras.saving.register_keras_serializable(package="mtl_tf")
class PSD(Architecture):
    """Features of every auxiliary task, diffused along affinities in small windows.

    First each task's features spread along its own affinities, in windows that grow; then along a
    mixture of all tasks' affinities, each let through where the sending task's features say so.

    Source: Zhou et al., "Pattern-Structure Diffusion for Multi-Task Learning", CVPR 2020; windows
    and sizes are ours.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. A ResNet's last stage is used, all stages
            of others, at an eighth of the image's resolution.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        auxiliary_tasks: the tasks with initial predictions, `tasks` among them; those by default.
            Train them by giving them to the trainer as well.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every auxiliary task,
    `{"task/initial": raw prediction [B, h, w, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, a size that does not fit the backbone, or
            auxiliary tasks that leave out a task.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        auxiliary_tasks: Any = None,
        output_stride: int = 8,
        name: str = "psd",
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(backbone, tasks, input_shape, auxiliary_tasks, output_stride)

        # === Functional model ===
        features = blueprint.task_features(blueprint.fused_features(), _CHANNELS, _STRIDE)
        for i, dilation in enumerate(_DILATIONS):
            features = {
                task: _spread(x, _affinity(x, dilation, f"intra.{task}.{i}"), dilation)
                for task, x in features.items()
            }
        # === From task to task ===
        gated = {}
        for task, x in features.items():
            gate = keras.ops.sigmoid(conv(x, 1, use_bias=True, name=f"pattern.{task}.gate"))
            gated[task] = layers.Multiply()([_affinity(x, 1, f"pattern.{task}"), gate])
        found = {}
        for task in blueprint.channels:
            others = [affinity for other, affinity in gated.items() if other != task]
            mixed = SoftmaxMixture(name=f"inter.{task}.mixture")([*others, gated[task]])
            found[task] = _spread(features[task], mixed, 1)
        outputs = blueprint.final(found)

        # === Config ===
        super().__init__(blueprint, outputs, name)


def _affinity(x: Any, dilation: int, name: str) -> Any:
    queries = conv(x, _EMBEDDING, name=f"{name}.query")
    keys = conv(x, _EMBEDDING, name=f"{name}.key")
    return LocalAffinity(_SIZE, dilation)(queries, keys)


def _spread(x: Any, affinity: Any, dilation: int) -> Any:
    """`x` and what is diffused to it."""
    return layers.Add()([x, LocalDiffusion(_SIZE, dilation)(affinity, x)])
