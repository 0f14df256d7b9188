"""ASTMT: one network that is applied once per task, with task-specific modulation."""

import itertools
from typing import Any

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.backbones.stage import after_each
from mtl_tf.heads import spatial_pyramid
from mtl_tf.layers import TaskDiscriminator, conv, conv_block, resize_to, squeeze_excite

_WIDTH, _LOW_LEVEL, _DILATIONS = 64, 12, (6, 12, 18)


@keras.saving.register_keras_serializable(package="mtl_tf")
class ASTMT(Architecture):
    """A backbone and a decoder with shared convolutions and task-specific modulation.

    Batch normalisation, squeeze-and-excitation on residual branches, and adapters (1x1 convolutions
    parallel to the larger ones, initially zero) are task-specific. The network is applied once per
    task.

    Source: Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        adversarial: weight of the loss of the task discriminator (`TaskDiscriminator`); 0 for none.
            The paper uses 0.01.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, an invalid input shape, or a negative
            weight.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.ASTMT("resnet18", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'parts']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        adversarial: float = 0.0,
        output_stride: int = 16,
        name: str = "astmt",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, None, output_stride, kwargs)
        if adversarial < 0:
            raise ValueError(f"adversarial must not be negative. Received: {adversarial}")
        image = keras.Input(blueprint.input.shape[1:])
        maps = after_each(blueprint.stages(), blueprint.normalised(image))
        pyramid = list(maps.values())[-1]
        shared = keras.Model(image, _decoded(pyramid))

        # === Functional model ===
        features = [_modulated(shared, blueprint.input, task) for task in blueprint.channels]
        if adversarial:
            features = TaskDiscriminator(adversarial, name="discriminator")(features)
        outputs = {}
        for (task, channels), x in zip(blueprint.channels.items(), features, strict=True):
            prediction = conv(x, channels, use_bias=True, name=f"decoders.{task}")
            outputs[task] = blueprint.output(prediction, task)

        # === Config ===
        super().__init__(blueprint, outputs, name, adversarial=adversarial)


def _decoded(features: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Apply a DeepLab-v3+ decoder of width 64: pooling of the last stage, a skip from the first."""
    x = spatial_pyramid(features[-1], _WIDTH, _DILATIONS, "shared_decoder.0")
    fine = features[0]
    skip = conv_block(fine, _LOW_LEVEL, names=("shared_decoder.skip.0", "shared_decoder.skip.1"))
    x = layers.Concatenate()([resize_to(x, fine.shape[1], fine.shape[2]), skip])
    for i in (1, 2):
        x = conv_block(x, _WIDTH, 3, names=(f"shared_decoder.{i}.0", f"shared_decoder.{i}.1"))
    return x


def _modulated(shared: keras.Model, image: keras.KerasTensor, task: str) -> keras.KerasTensor:
    """Return the output of a model of shared layers with the modulation of one task."""
    num_sums = itertools.count()

    def clone_layer(layer: layers.Layer) -> layers.Layer:
        if not isinstance(layer, layers.BatchNormalization):
            return layer
        config = {**layer.get_config(), "name": f"modulator.{task}.{layer.name}"}
        norm = type(layer).from_config(config)
        norm.build((None, None, None, *layer.gamma.shape))
        norm.set_weights(layer.get_weights())
        return norm

    def call(layer: layers.Layer, *arguments: Any, **options: Any) -> keras.KerasTensor:
        prefix = f"modulator.{task}.{layer.name}"
        if isinstance(layer, layers.Add) and len(arguments[0]) == 2:
            rest, branch = arguments[0]
            name = f"modulator.{task}.squeeze_excite.{next(num_sums)}"
            return layer([rest, squeeze_excite(branch, name)])
        y = layer(*arguments, **options)
        if isinstance(layer, layers.Conv2D) and layer.kernel_size[0] > 1:
            return layers.Add()([y, _adapter(arguments[0], layer, f"{prefix}.adapter")])
        return y

    clone = keras.models.clone_model(shared, image, clone_function=clone_layer, call_function=call)
    return clone.outputs[0]


def _adapter(x: keras.KerasTensor, layer: layers.Conv2D, name: str) -> keras.KerasTensor:
    """Return a 1x1 convolution parallel to a larger one, initially zero."""
    if layer.padding == "valid":
        x = layers.Cropping2D(layer.dilation_rate[0] * (layer.kernel_size[0] // 2))(x)
    if layer.strides[0] > 1:
        # Subsampled first: the gradient of TensorFlow 2.21's strided 1x1 convolution of an image
        # writes out of bounds (oneDNN on the CPU, 3 channels), and the process crashes.
        x = layers.AveragePooling2D(1, layer.strides[0])(x)
    return conv(x, layer.filters, 1, kernel_initializer="zeros", name=name)
