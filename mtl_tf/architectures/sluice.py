"""Sluice networks: mixtures of subspaces after every stage, and of stages (Ruder 2019)."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Blueprint, ModelOptions, Tasks
from mtl_tf.architectures.soft_sharing import Features, SoftSharing, apply_with_exchange
from mtl_tf.backbones.stage import Maps, changed
from mtl_tf.layers import SoftmaxMixture, SubspaceMixing, conv, pool_to, resize_to


@keras.saving.register_keras_serializable(package="mtl_tf")
class Sluice(SoftSharing):
    """One network per task whose subspaces are mixed after every stage except the stem.

    The two halves of a task's channels are its subspaces; an orthogonality penalty lets one of them
    represent shared and the other task-specific features. The input of the head is a learned
    mixture of all stages, projected to the channels and resized to the resolution of the last one.

    Source: Ruder et al., "Latent Multi-Task Architecture Learning", AAAI 2019. The paper is about
    sequence tagging; the mixture of feature maps is this library's extension.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        head: a name from `mtl_tf.heads.TABLE`; by default the head of the backbone.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        own: initial weight of the subspace itself; the other subspaces share `1 - own`.
        penalty: weight of the orthogonality penalty on the subspaces.
        learning_rate_multiplier: multiplier of the learning rate of the mixing weights, applied by
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
        >>> model = mtl.architectures.Sluice("resnet18", tasks, (32, 32, 3))
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
        penalty: float = 1e-3,
        learning_rate_multiplier: float = 1.0,
        name: str = "sluice",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride, kwargs)

        def exchange(features: Features, stage: str) -> Features:
            if stage == "stem":
                return features
            unit = SubspaceMixing(
                own,
                penalty=penalty,
                learning_rate_multiplier=learning_rate_multiplier,
                name=f"sluice.{stage}",
            )
            return dict(zip(features, unit(list(features.values())), strict=True))

        # === Functional model ===
        history = apply_with_exchange(blueprint, exchange)
        mixed = {}
        for task in blueprint.channels:
            stages = [maps[task] for maps in history]
            mixed[task] = _mixed_stages(stages, f"sluice.{task}", learning_rate_multiplier)
        outputs = blueprint.heads(mixed)

        # === Config ===
        super().__init__(
            blueprint,
            outputs,
            name,
            own=own,
            penalty=penalty,
            learning_rate_multiplier=learning_rate_multiplier,
        )


def _mixed_stages(stages: list[Maps], name: str, multiplier: float) -> Maps:
    """Return the pyramid with the maps of the last stage mixed with those of earlier stages."""
    last = list(stages[-1])
    for i in changed(stages[-2] if len(stages) > 1 else [], last):
        target = last[i]
        terms = [
            _projected(maps[min(i, len(maps) - 1)], target, f"{name}.{s}.{i}")
            for s, maps in enumerate(stages[:-1])
        ]
        mixture = SoftmaxMixture(multiplier, name=f"{name}.mixture.{i}")
        last[i] = mixture([*terms, target])
    return last


def _projected(x: keras.KerasTensor, target: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Project `x` to the channels of `target` and resize it to its resolution."""
    x = conv(x, target.shape[-1], 1, name=name)
    if x.shape[1] > target.shape[1]:
        return pool_to(x, target.shape[1], target.shape[2], layers.AveragePooling2D)
    return resize_to(x, target.shape[1], target.shape[2])
