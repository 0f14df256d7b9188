"""ResNet with dilation (He et al., CVPR 2016; dilation as in Chen et al., 2017).

The stride of a stage sits on the 3x3 convolution. Where the output stride forbids a stage to reduce
its input further, its strided convolution keeps the dilation of the stage before, and all other 3x3
convolutions of the stage take twice that dilation. Layer names are the published models' names.
"""

from collections.abc import Callable
from typing import Any

from keras import layers

from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, batch_norm, conv, conv_block

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_EXPANSION = {18: 1, 34: 1, 50: 4, 101: 4}
_WIDTHS = (64, 128, 256, 512)


def basic_block(x: Any, channels: int, strides: int, dilations: tuple[int, int], name: str) -> Any:
    """Two 3x3 convolutions and a shortcut.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels.
        strides: down-sampling factor, on the first convolution.
        dilations: of the first and the second convolution.
        name: prefix of the layers' names.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    y = conv_block(
        x, channels, 3, strides, dilations[0], KAIMING_NORMAL_FAN_OUT,
        (f"{name}.conv1", f"{name}.bn1"),
    )  # fmt: skip
    y = conv(y, channels, 3, 1, dilations[1], False, KAIMING_NORMAL_FAN_OUT, f"{name}.conv2")
    return _add_shortcut(x, batch_norm(y, name=f"{name}.bn2"), strides, name)


def bottleneck(x: Any, channels: int, strides: int, dilations: tuple[int, int], name: str) -> Any:
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the inner two have a quarter of the channels.

    Args:
        x: features `[B, H, W, C]`.
        channels: output channels, a multiple of 4.
        strides: down-sampling factor, on the 3x3 convolution.
        dilations: the first is the dilation of the 3x3 convolution.
        name: prefix of the layers' names.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), channels]`.
    """
    init = KAIMING_NORMAL_FAN_OUT
    inner = channels // 4
    y = conv_block(x, inner, 1, 1, 1, init, (f"{name}.conv1", f"{name}.bn1"))
    y = conv_block(y, inner, 3, strides, dilations[0], init, (f"{name}.conv2", f"{name}.bn2"))
    y = conv(y, channels, 1, 1, 1, False, init, f"{name}.conv3")
    return _add_shortcut(x, batch_norm(y, name=f"{name}.bn3"), strides, name)


def _add_shortcut(x: Any, y: Any, strides: int, name: str) -> Any:
    if strides != 1 or x.shape[-1] != y.shape[-1]:
        x = conv(
            x, y.shape[-1], 1, strides, 1, False, KAIMING_NORMAL_FAN_OUT, f"{name}.downsample.0"
        )
        x = batch_norm(x, name=f"{name}.downsample.1")
    return layers.ReLU()(layers.Add()([x, y]))


def resnet_stages(depth: int, output_stride: int, prefix: str) -> dict[str, Callable[[Any], Any]]:
    """The stages of a ResNet as functions from features to features.

    Args:
        depth: 18, 34, 50 or 101.
        output_stride: down-sampling factor of the last stage: 8, 16 or 32.
        prefix: put before the names of the layers.

    Returns:
        `stem` (stride 4, 64 channels) and `layer1` to `layer4`, in order.

    Raises:
        ValueError: for another depth or output stride.
    """
    if depth not in _BLOCKS:
        raise ValueError(f"depth must be one of {sorted(_BLOCKS)}. Received: {depth}")
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32. Received: {output_stride}")
    block = basic_block if _EXPANSION[depth] == 1 else bottleneck
    stages: dict[str, Callable[[Any], Any]] = {"stem": lambda x: _stem(x, prefix)}
    stride, dilation = 4, 1
    for index, (width, num_blocks) in enumerate(zip(_WIDTHS, _BLOCKS[depth], strict=True)):
        strides, first_dilation = (1 if index == 0 else 2), dilation
        if stride * strides > output_stride:
            strides, dilation = 1, dilation * 2
        stride *= strides
        name = f"layer{index + 1}"
        stages[name] = _stage(
            block, width * _EXPANSION[depth], num_blocks, strides, first_dilation, dilation,
            prefix + name,
        )  # fmt: skip
    return stages


def _stem(x: Any, prefix: str) -> Any:
    names = (f"{prefix}conv1", f"{prefix}bn1")
    x = conv_block(x, 64, 7, 2, 1, KAIMING_NORMAL_FAN_OUT, names)
    # Zero padding is as good as minus infinity: the features are not negative.
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))


def _stage(
    block: Callable[..., Any],
    channels: int,
    num_blocks: int,
    strides: int,
    first_dilation: int,
    dilation: int,
    name: str,
) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        x = block(x, channels, strides, (first_dilation, dilation), f"{name}.0")
        for i in range(1, num_blocks):
            x = block(x, channels, 1, (dilation, dilation), f"{name}.{i}")
        return x

    return apply
