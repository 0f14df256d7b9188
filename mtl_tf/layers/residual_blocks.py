"""The two residual blocks of He et al., CVPR 2016, dilated, with the stride on the 3x3."""

from typing import Any

import keras
from keras import layers

from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, batch_norm, conv, conv_block


def basic_block(
    x: keras.KerasTensor,
    channels: int,
    strides: int = 1,
    *,
    dilations: tuple[int, int] = (1, 1),
    name: str = "",
    momentum: float = 0.9,
) -> keras.KerasTensor:
    """Apply two 3x3 convolutions and a shortcut.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels.
        strides: down-sampling factor, on the first convolution.
        dilations: dilations of the first and the second convolution.
        name: prefix of the layers' names.
        momentum: momentum of the batch normalisations.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    init = KAIMING_NORMAL_FAN_OUT
    y = conv_block(
        x,
        channels,
        3,
        strides,
        dilation=dilations[0],
        kernel_initializer=init,
        names=(f"{name}.conv1", f"{name}.bn1"),
        momentum=momentum,
    )
    y = conv(y, channels, 3, dilation=dilations[1], kernel_initializer=init, name=f"{name}.conv2")
    y = batch_norm(y, momentum=momentum, name=f"{name}.bn2")
    return _add_shortcut(x, y, strides, name, momentum)


def bottleneck(
    x: keras.KerasTensor,
    channels: int,
    strides: int = 1,
    *,
    dilations: tuple[int, int] = (1, 1),
    name: str = "",
    momentum: float = 0.9,
    strides_on_first: bool = False,
) -> keras.KerasTensor:
    """Apply 1x1, 3x3 and 1x1 convolutions and a shortcut.

    The first two convolutions have a quarter of the output channels.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels, a multiple of 4.
        strides: down-sampling factor, on the 3x3 convolution.
        dilations: the first is the dilation of the 3x3 convolution.
        name: prefix of the layers' names.
        momentum: momentum of the batch normalisations.
        strides_on_first: put the strides on the first 1x1 convolution instead, as in the paper.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    init = KAIMING_NORMAL_FAN_OUT
    inner = channels // 4
    first, second = (strides, 1) if strides_on_first else (1, strides)
    names = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
    options: dict[str, Any] = {"kernel_initializer": init, "momentum": momentum}
    y = conv_block(x, inner, 1, first, names=names[0], **options)
    y = conv_block(y, inner, 3, second, dilation=dilations[0], names=names[1], **options)
    y = conv(y, channels, kernel_initializer=init, name=names[2][0])
    y = batch_norm(y, momentum=momentum, name=names[2][1])
    return _add_shortcut(x, y, strides, name, momentum)


def _add_shortcut(
    x: keras.KerasTensor, y: keras.KerasTensor, strides: int, name: str, momentum: float
) -> keras.KerasTensor:
    if strides != 1 or x.shape[-1] != y.shape[-1]:
        init = KAIMING_NORMAL_FAN_OUT
        x = conv(x, y.shape[-1], 1, strides, kernel_initializer=init, name=f"{name}.downsample.0")
        x = batch_norm(x, momentum=momentum, name=f"{name}.downsample.1")
    return layers.ReLU()(layers.Add()([x, y]))
