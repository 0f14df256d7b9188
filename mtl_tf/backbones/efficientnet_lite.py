"""EfficientNet-Lite: inverted bottlenecks without squeeze-and-excite, with ReLU6 (Tan & Le, 2019).

The variant of EfficientNet for mobile devices: stem, first and last stage have the same size in all
members, widths and depths of the others grow. Strided windows are padded as TensorFlow's "same"
(the odd pixel at the bottom and right), as the published weights need. A stage that would exceed
the output stride has stride 1: its first depthwise convolution has the dilation of the previous
stage, all others twice that dilation.
"""

import dataclasses
import functools
import math

import keras
from keras import layers

from mtl_tf.backbones.stage import Block, Stage, appending, check_output_stride, replacing
from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.layers.batch_normalization import BatchNormalization
from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT

_STEM_CHANNELS = 32
_EPSILON, _MOMENTUM = 1e-3, 0.99
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0  # of the published networks' inputs, 0..255
_PYRAMID = (2, 3, 5, 7)  # stages whose last block is the finest or last of its stride: 4 to 32


@dataclasses.dataclass(frozen=True)
class _StageSize:
    """Repeats, kernel, stride, expansion and channels of a stage, before scaling."""

    repeats: int
    kernel_size: int
    strides: int
    expansion: int
    channels: int


_STAGES = (
    _StageSize(1, 3, 1, 1, 16),
    _StageSize(2, 3, 2, 6, 24),
    _StageSize(2, 5, 2, 6, 40),
    _StageSize(3, 3, 2, 6, 80),
    _StageSize(3, 5, 1, 6, 112),
    _StageSize(4, 5, 2, 6, 192),
    _StageSize(1, 3, 1, 6, 320),
)


@dataclasses.dataclass(frozen=True)
class EfficientNetLite:
    """Scaling of an EfficientNet-Lite.

    Attributes:
        width: factor of the channels, which are rounded to multiples of 8.
        depth: factor of the repeats of a block, rounded up; the first and the last stage keep one.

    Examples:
        >>> list(efficientnet_lite_stages(LITE0, 32, ""))[:3]
        ['stem', 'stage1', 'stage2']
    """

    width: float
    depth: float


LITE0 = EfficientNetLite(1.0, 1.0)
LITE1 = EfficientNetLite(1.0, 1.1)
LITE2 = EfficientNetLite(1.1, 1.2)
LITE3 = EfficientNetLite(1.2, 1.4)
LITE4 = EfficientNetLite(1.4, 1.8)


def efficientnet_lite_stages(
    sizes: EfficientNetLite, output_stride: int, prefix: str
) -> dict[str, Stage]:
    """Build the stages of an EfficientNet-Lite.

    Source: Tan & Le, "EfficientNet", ICML 2019; the Lite variant of its authors.

    Args:
        sizes: scaling.
        output_stride: down-sampling factor of the last stage: 8, 16 or 32.
        prefix: prefix of the layers' names.

    Returns:
        `stem` (stride 2) and `stage1` to `stage7`, in order. The pyramid has the features of stages
        2, 3, 5 and 7: strides 4, 8, 16 and 32.

    Raises:
        ValueError: for another output stride.
    """
    check_output_stride(output_stride)
    stages = {"stem": Stage((replacing(functools.partial(_stem, prefix=prefix)),))}
    stride, dilation, index = 2, 1, 0
    for number, size in enumerate(_STAGES, start=1):
        strides, first_dilation = size.strides, dilation
        if stride * strides > output_stride:
            strides, dilation = 1, dilation * 2
        stride *= strides
        blocks: list[Block] = []
        for i in range(_repeats(number, size, sizes)):
            block = functools.partial(
                _inverted_bottleneck,
                channels=_rounded(size.channels * sizes.width),
                kernel_size=size.kernel_size,
                strides=strides if i == 0 else 1,
                expansion=size.expansion,
                dilation=first_dilation if i == 0 else dilation,
                name=f"{prefix}blocks.{index}",
            )
            is_new_map = i == 0 and number - 1 in _PYRAMID
            blocks.append(appending(block) if is_new_map else replacing(block))
            index += 1
        stages[f"stage{number}"] = Stage(tuple(blocks))
    return stages


def _repeats(number: int, size: _StageSize, sizes: EfficientNetLite) -> int:
    is_fixed = number in (1, len(_STAGES))
    return size.repeats if is_fixed else math.ceil(size.repeats * sizes.depth)


def _rounded(channels: float, divisor: int = 8) -> int:
    """Return the nearest multiple of 8, the next one if that loses more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _stem(x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    scale = 255.0 * IMAGENET_STD / _PIXEL_STD
    offset = (255.0 * IMAGENET_MEAN - _PIXEL_MEAN) / _PIXEL_STD
    # Not folded into the convolution: its padding is zero after the scaling.
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name=f"{prefix}rescaling")(x)
    x = _conv(x, _STEM_CHANNELS, 3, 2, name=f"{prefix}conv_stem")
    return _relu6(_batch_norm(x, f"{prefix}bn0"))


def _inverted_bottleneck(
    x: keras.KerasTensor,
    channels: int,
    kernel_size: int,
    strides: int,
    expansion: int,
    dilation: int,
    name: str,
) -> keras.KerasTensor:
    """Expand by a 1x1 convolution, filter each channel, project; add the input where it fits."""
    y = x
    if expansion > 1:
        y = _conv(y, x.shape[-1] * expansion, name=f"{name}.expand_conv")
        y = _relu6(_batch_norm(y, f"{name}.bn0"))
    y = layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        dilation_rate=dilation,
        depthwise_initializer=_initializer(),
        name=f"{name}.depthwise_conv",
    )(y)
    y = _relu6(_batch_norm(y, f"{name}.bn1"))
    y = _batch_norm(_conv(y, channels, name=f"{name}.project_conv"), f"{name}.bn2")
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == channels else y


def _conv(
    x: keras.KerasTensor, channels: int, kernel_size: int = 1, strides: int = 1, *, name: str
) -> keras.KerasTensor:
    return layers.Conv2D(
        channels,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=name,
    )(x)


def _initializer() -> keras.initializers.Initializer:
    return KAIMING_NORMAL_FAN_OUT.clone()


def _batch_norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)


def _relu6(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU(max_value=6.0)(x)
