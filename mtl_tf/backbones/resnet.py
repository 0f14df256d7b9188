"""ResNet with dilation (He et al., CVPR 2016; dilation as in Chen et al., 2017).

The stride of a stage is on the 3x3 convolution. A stage that would exceed the output stride has
stride 1: its first 3x3 convolution has the dilation of the previous stage, all others twice that
dilation. Layer names are those of the published models.
"""

import functools
from collections.abc import Callable

import keras
from keras import layers

from mtl_tf.backbones.stage import Stage, appending, check_output_stride, replacing
from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, conv_block
from mtl_tf.layers.residual_blocks import basic_block, bottleneck

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_EXPANSION = {18: 1, 34: 1, 50: 4, 101: 4}
_WIDTHS = (64, 128, 256, 512)


def resnet_stages(
    depth: int, output_stride: int, prefix: str, *, strides_on_first: bool = False
) -> dict[str, Stage]:
    """Build the stages of a ResNet.

    Args:
        depth: 18, 34, 50 or 101.
        output_stride: down-sampling factor of the last stage: 8, 16 or 32.
        prefix: prefix of the layers' names.
        strides_on_first: put the strides of bottlenecks on the first 1x1 convolution, as in the
            paper.

    Returns:
        `stem` (stride 4, 64 channels) and `layer1` to `layer4`, in order.

    Raises:
        ValueError: for another depth or output stride.
    """
    if depth not in _BLOCKS:
        raise ValueError(f"depth must be one of {sorted(_BLOCKS)}. Received: {depth}")
    check_output_stride(output_stride)
    block: Callable[..., keras.KerasTensor] = basic_block
    if _EXPANSION[depth] > 1:
        block = functools.partial(bottleneck, strides_on_first=strides_on_first)
    stages = {"stem": Stage((replacing(functools.partial(_stem, prefix=prefix)),))}
    stride, dilation = 4, 1
    for index, (width, num_blocks) in enumerate(zip(_WIDTHS, _BLOCKS[depth], strict=True)):
        strides, first_dilation = (1 if index == 0 else 2), dilation
        if stride * strides > output_stride:
            strides, dilation = 1, dilation * 2
        stride *= strides
        name = f"layer{index + 1}"
        first, *others = (
            functools.partial(
                block,
                channels=width * _EXPANSION[depth],
                strides=strides if i == 0 else 1,
                dilations=(first_dilation if i == 0 else dilation, dilation),
                name=f"{prefix}{name}.{i}",
            )
            for i in range(num_blocks)
        )
        first_block = replacing(first) if index == 0 else appending(first)
        stages[name] = Stage((first_block, *map(replacing, others)))
    return stages


def _stem(x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    names = (f"{prefix}conv1", f"{prefix}bn1")
    x = conv_block(x, 64, 7, 2, kernel_initializer=KAIMING_NORMAL_FAN_OUT, names=names)
    # Zero padding equals padding by minus infinity: the features are not negative.
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
