"""UberNet: one backbone, and for each task a light head on all of its stages."""

import keras
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks


@keras.saving.register_keras_serializable(package="mtl_tf")
class UberNet(Architecture):
    """One backbone; each task projects all stages to its channels, upsamples and mixes them.

    The paper updates the parameters of a task only after enough images with its labels; see the
    trainer for the treatment of batches with missing labels.

    Source: Kokkinos, "UberNet: Training a Universal Convolutional Neural Network for Low-, Mid-,
    and High-Level Vision", CVPR 2017.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, or an invalid input shape.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.UberNet("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'parts']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        output_stride: int = 32,
        name: str = "ubernet",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, "skip", output_stride, kwargs)

        # === Functional model ===
        features = blueprint.features()
        outputs = blueprint.heads(dict.fromkeys(blueprint.channels, features))

        # === Config ===
        super().__init__(blueprint, outputs, name)
