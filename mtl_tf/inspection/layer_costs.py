"""Multiply-adds of common layers: one rule for each type of layer.

Counted as in Vandenhende et al., TPAMI 2021: one multiply-add per weight and position of a
convolution or dense layer; biases, normalisation, activations, pooling, resizing and element-wise
arithmetic are free. Products of features with features in attention and affinity layers are counted
too.
"""

import math
from collections.abc import Callable, Sequence

import keras

from mtl_tf import layers

Shapes = Sequence[tuple[int, ...]]
Rule = Callable[[keras.Operation, Shapes, Shapes], int]


def rule_of(layer: keras.Operation) -> Rule | None:
    """Return the cost rule of a layer: its own `multiply_adds`, or the rule of its type.

    Args:
        layer: a layer or an operation of `keras.ops`.

    Returns:
        A function of the layer and the shapes of its inputs and outputs, batch included; `None` for
        types without a rule and for subclasses that override `call`.
    """
    if hasattr(layer, "multiply_adds"):
        return lambda layer, inputs, outputs: int(layer.multiply_adds(inputs, outputs))
    layer_type = type(layer)
    for cls in layer_type.__mro__:
        if cls in _RULES:
            return _RULES[cls] if layer_type.call is cls.call else None
    return None


def _convolution(layer: keras.Operation, inputs: Shapes, outputs: Shapes) -> int:
    channels = inputs[0][-1 if layer.data_format == "channels_last" else 1]
    return math.prod(outputs[0]) * math.prod(layer.kernel_size) * (channels // layer.groups)


def _transposed_convolution(layer: keras.Operation, inputs: Shapes, _outputs: Shapes) -> int:
    return math.prod(inputs[0]) * math.prod(layer.kernel_size) * layer.filters


def _depthwise_convolution(layer: keras.Operation, _inputs: Shapes, outputs: Shapes) -> int:
    return math.prod(outputs[0]) * math.prod(layer.kernel_size)


def _separable_convolution(layer: keras.Operation, inputs: Shapes, outputs: Shapes) -> int:
    channels = inputs[0][-1 if layer.data_format == "channels_last" else 1]
    per_channel = math.prod(layer.kernel_size) + layer.filters
    positions = math.prod(outputs[0]) // layer.filters
    return positions * channels * layer.depth_multiplier * per_channel


def _dense(_layer: keras.Operation, inputs: Shapes, outputs: Shapes) -> int:
    return math.prod(outputs[0]) * inputs[0][-1]


def _recurrent(gates: int) -> Rule:
    def rule(layer: keras.Operation, inputs: Shapes, _outputs: Shapes) -> int:
        batch, steps, channels = inputs[0]
        return batch * steps * gates * layer.units * (channels + layer.units)

    return rule


def _free(_layer: keras.Operation, _inputs: Shapes, _outputs: Shapes) -> int:
    return 0


def _affinity_propagation(layer: keras.Operation, inputs: Shapes, outputs: Shapes) -> int:
    """Count S products of embeddings and one of features, per step and pair of positions."""
    cost = 0
    for batch, height, width, channels in outputs:
        embedded = sum(shape[-1] for shape in inputs[: len(inputs) - len(outputs)])
        cost += layer.steps * batch * (height * width) ** 2 * (embedded + channels)
    return cost


def _local_affinity(layer: keras.Operation, inputs: Shapes, _outputs: Shapes) -> int:
    return math.prod(inputs[0]) * layer.size**2


def _local_diffusion(layer: keras.Operation, _inputs: Shapes, outputs: Shapes) -> int:
    return math.prod(outputs[0]) * layer.size**2


# By name, as some are missing in some versions of Keras; the last ones are active in training only.
_FREE_IN_KERAS = """
    InputLayer Identity Masking Embedding Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D
    AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    ReLU LeakyReLU PReLU ELU Softmax
    BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization
    Normalization Rescaling
    Add Subtract Multiply Average Maximum Minimum Concatenate
    Reshape Flatten Permute RepeatVector Resizing CenterCrop UpSampling1D UpSampling2D UpSampling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D
    AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
    RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom
"""

_RULES: dict[type[keras.Operation], Rule] = {
    **{
        getattr(keras.layers, name): _free
        for name in _FREE_IN_KERAS.split()
        if hasattr(keras.layers, name)
    },
    **{getattr(keras.layers, f"Conv{n}D"): _convolution for n in (1, 2, 3)},
    **{getattr(keras.layers, f"Conv{n}DTranspose"): _transposed_convolution for n in (1, 2, 3)},
    **{getattr(keras.layers, f"DepthwiseConv{n}D"): _depthwise_convolution for n in (1, 2)},
    **{getattr(keras.layers, f"SeparableConv{n}D"): _separable_convolution for n in (1, 2)},
    keras.layers.Dense: _dense,
    keras.layers.SimpleRNN: _recurrent(1),
    keras.layers.GRU: _recurrent(3),
    keras.layers.LSTM: _recurrent(4),
    # Of this library: mixtures are element-wise; the discriminator is active in training only.
    layers.AttentionDistillation: _free,
    layers.BilinearResize: _free,
    layers.BranchingChoices: _free,
    layers.ChannelScaling: _free,
    layers.CrossStitchUnit: _free,
    layers.Mixture: _free,
    layers.SoftmaxMixture: _free,
    layers.SubspaceMixing: _free,
    layers.TaskDiscriminator: _free,
    layers.AffinityPropagation: _affinity_propagation,
    layers.LocalAffinity: _local_affinity,
    layers.LocalDiffusion: _local_diffusion,
}
