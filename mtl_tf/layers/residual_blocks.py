"""The two residual blocks of He et al., CVPR 2016, with dilation; the stride sits on the 3x3."""

from typing import Any

from keras import layers

from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, batch_norm, conv, conv_block


def basic_block(
    x: Any,
    channels: int,
    strides: int = 1,
    dilations: tuple[int, int] = (1, 1),
    name: str = "",
    momentum: float = 0.9,
) -> Any:
    """Two 3x3 convolutions and a shortcut.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels.
        strides: down-sampling factor, on the first convolution.
        dilations: of the first and the second convolution.
        name: prefix of the layers' names.
        momentum: of the batch normalisations.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    init = KAIMING_NORMAL_FAN_OUT
    names = (f"{name}.conv1", f"{name}.bn1")
    y = conv_block(x, channels, 3, strides, dilations[0], init, names, momentum)
    y = conv(y, channels, 3, 1, dilations[1], False, init, f"{name}.conv2")
    return _add_shortcut(x, batch_norm(y, momentum, f"{name}.bn2"), strides, name, momentum)


def bottleneck(
    x: Any,
    channels: int,
    strides: int = 1,
    dilations: tuple[int, int] = (1, 1),
    name: str = "",
    momentum: float = 0.9,
    strides_on_first: bool = False,
) -> Any:
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the inner two have a quarter of the channels.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels, a multiple of 4.
        strides: down-sampling factor, on the 3x3 convolution.
        dilations: the first is the dilation of the 3x3 convolution.
        name: prefix of the layers' names.
        momentum: of the batch normalisations.
        strides_on_first: put the strides on the first 1x1 convolution, as in the paper, instead.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    init = KAIMING_NORMAL_FAN_OUT
    inner = channels // 4
    first, second = (strides, 1) if strides_on_first else (1, strides)
    names = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
    y = conv_block(x, inner, 1, first, 1, init, names[0], momentum)
    y = conv_block(y, inner, 3, second, dilations[0], init, names[1], momentum)
    y = batch_norm(conv(y, channels, 1, 1, 1, False, init, names[2][0]), momentum, names[2][1])
    return _add_shortcut(x, y, strides, name, momentum)


def _add_shortcut(x: Any, y: Any, strides: int, name: str, momentum: float) -> Any:
    if strides != 1 or x.shape[-1] != y.shape[-1]:
        init = KAIMING_NORMAL_FAN_OUT
        x = conv(x, y.shape[-1], 1, strides, 1, False, init, f"{name}.downsample.0")
        x = batch_norm(x, momentum, f"{name}.downsample.1")
    return layers.ReLU()(layers.Add()([x, y]))
