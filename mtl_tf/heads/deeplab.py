"""DeepLab-v3 head: atrous spatial pyramid pooling, without a low-level skip (Chen et al., 2017)."""

from collections.abc import Sequence

import keras
from keras import layers

from mtl_tf.layers.conv_block import conv, conv_block
from mtl_tf.layers.resize import resize_to

_CHANNELS = 256
_DILATIONS = (12, 24, 36)
_DROPOUT = 0.5


def spatial_pyramid(
    x: keras.KerasTensor, channels: int, dilations: Sequence[int], name: str
) -> keras.KerasTensor:
    """Apply atrous spatial pyramid pooling.

    A 1x1 convolution, dilated 3x3 convolutions and the mean of the image, concatenated and mixed by
    a 1x1 convolution. The pooled branch normalises one value per image and channel: train with
    batches of two or more.

    Source: Chen et al., "Rethinking Atrous Convolution", 2017, section 3.3.

    Args:
        x: features `[B, h, w, C]`.
        channels: channels of each branch and of the result.
        dilations: dilations of the 3x3 convolutions, one branch each.
        name: prefix of the layers' names.

    Returns:
        Features `[B, h, w, channels]`.
    """
    names = [f"{name}.convs.{i}" for i in range(len(dilations) + 2)]
    branches = [conv_block(x, channels, 1, names=(f"{names[0]}.0", f"{names[0]}.1"))]
    for i, dilation in enumerate(dilations, start=1):
        layer_names = (f"{names[i]}.0", f"{names[i]}.1")
        branches.append(conv_block(x, channels, 3, dilation=dilation, names=layer_names))
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    pooled = conv_block(pooled, channels, 1, names=(f"{names[-1]}.1", f"{names[-1]}.2"))
    branches.append(resize_to(pooled, x.shape[1], x.shape[2]))
    x = layers.Concatenate()(branches)
    return conv_block(x, channels, 1, names=(f"{name}.project.0", f"{name}.project.1"))


def deeplab_head(features: list[keras.KerasTensor], channels: int, name: str) -> keras.KerasTensor:
    """Predict by atrous spatial pyramid pooling and two convolutions of the last stage.

    The pooled branch normalises one value per image and channel: train with batches of two or more.

    Source: Chen et al., "Rethinking Atrous Convolution", 2017; dilations 12, 24, 36 and dropout 0.5
    as in Vandenhende et al., TPAMI 2021.

    Args:
        features: stage features `[B, h, w, C]`, finest first; the last one is used.
        channels: channels of the prediction.
        name: prefix of the layers' names.

    Returns:
        Raw prediction `[B, h, w, channels]`.
    """
    x = spatial_pyramid(features[-1], _CHANNELS, _DILATIONS, f"{name}.0")
    x = layers.Dropout(_DROPOUT)(x)
    x = conv_block(x, _CHANNELS, 3, names=(f"{name}.1", f"{name}.2"))
    return conv(x, channels, 1, use_bias=True, name=f"{name}.4")
