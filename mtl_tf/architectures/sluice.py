"""Sluice networks: mixtures of subspaces after every stage, and of stages (Ruder 2019)."""

from typing import Any

import keras
from keras import layers

from mtl_tf.architectures.base import Blueprint
from mtl_tf.architectures.soft_sharing import SoftSharing, in_step
from mtl_tf.backbones.stage import Maps, changed
from mtl_tf.layers import SoftmaxMixture, SubspaceMixing, conv, resize_to


@keras.saving.register_keras_serializable(package="mtl_tf")
class Sluice(SoftSharing):
    """One network per task whose subspaces are mixed after every stage but the stem.

    Two halves of a task's channels are its subspaces; an orthogonality penalty keeps one free for
    what the tasks share and the other for what is the task's own. What the head sees of the last
    stage is a learned mixture of all stages, projected and brought to its resolution.

    Source: Ruder et al., "Latent Multi-Task Architecture Learning", AAAI 2019. The paper is about
    sequence tagging: that the mixture of layers is of feature maps is this library's reading.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        head: a name from `mtl_tf.heads.TABLE`; the backbone's own by default.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        own: weight of a subspace itself at first; the other subspaces share `1 - own`.
        penalty: factor of the penalty on subspaces that are not orthogonal.
        learning_rate_multiplier: how many times faster than the rest the mixing weights learn; with
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
        penalty: float = 1e-3,
        learning_rate_multiplier: float = 1.0,
        name: str = "sluice",
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, head, output_stride)

        def exchange(features: dict[str, Any], stage: str) -> dict[str, Any]:
            if stage == "stem":
                return features
            unit = SubspaceMixing(own, penalty, learning_rate_multiplier, name=f"sluice.{stage}")
            return dict(zip(features, unit(list(features.values())), strict=True))

        # === Functional model ===
        history = in_step(blueprint, exchange)
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
    """The pyramid, with what the last stage has made mixed with what the earlier ones made."""
    last = list(stages[-1])
    for i in changed(stages[-2] if len(stages) > 1 else [], last):
        target = last[i]
        terms = [
            _fitted(maps[min(i, len(maps) - 1)], target, f"{name}.{s}.{i}")
            for s, maps in enumerate(stages[:-1])
        ]
        mixture = SoftmaxMixture(multiplier, name=f"{name}.mixture.{i}")
        last[i] = mixture([*terms, target])
    return last


def _fitted(x: Any, target: Any, name: str) -> Any:
    """`x` with the channels and the resolution of `target`."""
    x = conv(x, target.shape[-1], 1, name=name)
    if x.shape[1] > target.shape[1]:
        factors = (x.shape[1] // target.shape[1], x.shape[2] // target.shape[2])
        return layers.AveragePooling2D(factors)(x)
    return resize_to(x, target.shape[1], target.shape[2])
