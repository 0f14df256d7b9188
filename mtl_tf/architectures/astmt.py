"""ASTMT: one network that is run once for each task, a little different each time."""

import itertools
from typing import Any

import keras
from keras import layers

from mtl_tf.architectures.base import Architecture, Blueprint
from mtl_tf.heads import spatial_pyramid
from mtl_tf.layers import TaskDiscriminator, conv, conv_block, resize_to, squeeze_excite

_WIDTH, _LOW_LEVEL, _DILATIONS = 64, 12, (6, 12, 18)


@keras.saving.register_keras_serializable(package="mtl_tf")
class ASTMT(Architecture):
    """A backbone and a decoder whose convolutions all tasks share, and which each task modulates.

    Every task has batch normalisations of its own, squeeze-and-excitation of its own on residual
    branches, and adapters: 1x1 convolutions beside the 3x3 ones, zero at first. The network runs
    once for each task.

    Source: Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`; H and W multiples of the backbone's largest stride.
        adversarial: weight of the loss of a discriminator of tasks (`TaskDiscriminator`), none at
            0; the paper takes 0.01.
        output_stride: down-sampling factor of a named ResNet's last stage: 8, 16 or 32.
        name: name of the model.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, a size that does not fit it, or a negative
            weight.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Any,
        input_shape: tuple[int, int, int],
        adversarial: float = 0.0,
        output_stride: int = 16,
        name: str = "astmt",
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, None, output_stride)
        if adversarial < 0:
            raise ValueError(f"adversarial must not be negative. Received: {adversarial}")
        shared = keras.Model(blueprint.image, _decoded(blueprint.features()))

        # === Functional model ===
        features = [_modulated(shared, blueprint.image, task) for task in blueprint.channels]
        if adversarial:
            features = TaskDiscriminator(adversarial, name="discriminator")(features)
        outputs = {}
        for (task, channels), x in zip(blueprint.channels.items(), features, strict=True):
            prediction = conv(x, channels, use_bias=True, name=f"decoders.{task}")
            outputs[task] = blueprint.output(prediction, task)

        # === Config ===
        super().__init__(blueprint, outputs, name, adversarial=adversarial)


def _decoded(features: list[Any]) -> Any:
    """DeepLab-v3+ at a width of 64: spatial pooling of the last stage, a skip from the first."""
    x = spatial_pyramid(features[-1], _WIDTH, _DILATIONS, "shared_decoder.0")
    fine = features[0]
    skip = conv_block(fine, _LOW_LEVEL, names=("shared_decoder.skip.0", "shared_decoder.skip.1"))
    x = layers.Concatenate()([resize_to(x, fine.shape[1], fine.shape[2]), skip])
    for i in (1, 2):
        x = conv_block(x, _WIDTH, 3, names=(f"shared_decoder.{i}.0", f"shared_decoder.{i}.1"))
    return x


def _modulated(shared: keras.Model, image: Any, task: str) -> Any:
    """The output of a model of shared layers as one task modulates it."""
    sums = itertools.count()

    def own(layer: Any) -> Any:
        if not isinstance(layer, layers.BatchNormalization):
            return layer
        config = {**layer.get_config(), "name": f"modulator.{task}.{layer.name}"}
        made = layers.BatchNormalization.from_config(config)
        made.build((None, None, None, *layer.gamma.shape))
        made.set_weights(layer.get_weights())
        return made

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        prefix = f"modulator.{task}.{layer.name}"
        if isinstance(layer, layers.Add) and len(arguments[0]) == 2:
            rest, branch = arguments[0]
            name = f"modulator.{task}.squeeze_excite.{next(sums)}"
            return layer([rest, squeeze_excite(branch, name)])
        y = layer(*arguments, **options)
        if isinstance(layer, layers.Conv2D) and layer.kernel_size[0] > 1:
            return layers.Add()([y, _adapter(arguments[0], layer, f"{prefix}.adapter")])
        return y

    clone = keras.models.clone_model(shared, image, clone_function=own, call_function=call)
    return clone.outputs[0]


def _adapter(x: Any, layer: Any, name: str) -> Any:
    """A 1x1 convolution beside a larger one, zero at first."""
    if layer.padding == "valid":
        x = layers.Cropping2D(layer.dilation_rate[0] * (layer.kernel_size[0] // 2))(x)
    if layer.strides[0] > 1:
        # Every n-th pixel first: TensorFlow 2.21's 1x1 convolution of an image with strides writes
        # where it must not in its gradient (oneDNN on the CPU, 3 channels), and the process dies.
        x = layers.AveragePooling2D(1, layer.strides[0])(x)
    return conv(x, layer.filters, 1, kernel_initializer="zeros", name=name)
