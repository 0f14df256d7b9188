"""HRNet (Wang et al., TPAMI 2020): branches of several resolutions in parallel, fused repeatedly.

`hrnet_w18_small_v2` is the network that the survey calls HRNet-18. Layer names are those of the
published models.
"""

import dataclasses
import functools

import keras
from keras import layers

from mtl_tf.backbones.stage import Maps, Stage, replacing
from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, batch_norm, conv, conv_block
from mtl_tf.layers.residual_blocks import basic_block, bottleneck
from mtl_tf.layers.resize import resize_to

_BOTTLENECK_CHANNELS = 256


@dataclasses.dataclass(frozen=True)
class HRNet:
    """Hyperparameters of an HRNet.

    Attributes:
        width: channels of the finest branch; each coarser branch has twice as many.
        bottlenecks: number of bottlenecks at the end of the stem.
        modules: number of modules of stages 2, 3 and 4.
        blocks: number of residual blocks per branch of a module.
        interpolation: upsampling of coarse branches in a fusion, `"bilinear"` or `"nearest"`.
        momentum: momentum of the batch normalisations.

    Examples:
        >>> list(hrnet_stages(W18_SMALL_V2, ""))
        ['stem', 'stage2', 'stage3', 'stage4']
    """

    width: int
    bottlenecks: int
    modules: tuple[int, int, int]
    blocks: int
    interpolation: str
    momentum: float


W18_SMALL_V2 = HRNet(18, 2, (1, 3, 2), 2, "bilinear", 0.99)
W18 = HRNet(18, 4, (1, 4, 3), 4, "nearest", 0.9)
W32 = dataclasses.replace(W18, width=32)
W48 = dataclasses.replace(W18, width=48)


def hrnet_stages(sizes: HRNet, prefix: str) -> dict[str, Stage]:
    """Build the stages of an HRNet.

    Args:
        sizes: hyperparameters.
        prefix: prefix of the layers' names.

    Returns:
        `stem` (stride 4, 256 channels) and `stage2` to `stage4`, which add one branch each, at
        strides 8, 16 and 32.
    """
    stem = functools.partial(_stem, sizes=sizes, prefix=prefix)
    stages = {"stem": Stage((replacing(stem),))}
    for index, num_modules in enumerate(sizes.modules):
        name = f"stage{index + 2}"
        transition = functools.partial(
            _transition, sizes=sizes, name=f"{prefix}transition{index + 1}"
        )
        modules = [
            functools.partial(_module, sizes=sizes, name=f"{prefix}{name}.{m}")
            for m in range(num_modules)
        ]
        stages[name] = Stage((transition, *modules))
    return stages


def _conv_block(
    x: keras.KerasTensor, channels: int, size: int, strides: int, sizes: HRNet, name: str
) -> keras.KerasTensor:
    return conv_block(
        x,
        channels,
        size,
        strides,
        kernel_initializer=KAIMING_NORMAL_FAN_OUT,
        names=(f"{name}.0", f"{name}.1"),
        momentum=sizes.momentum,
    )


def _conv_norm(
    x: keras.KerasTensor, channels: int, size: int, strides: int, sizes: HRNet, name: str
) -> keras.KerasTensor:
    init = KAIMING_NORMAL_FAN_OUT
    x = conv(x, channels, size, strides, kernel_initializer=init, name=f"{name}.0")
    return batch_norm(x, momentum=sizes.momentum, name=f"{name}.1")


def _stem(x: keras.KerasTensor, sizes: HRNet, prefix: str) -> keras.KerasTensor:
    for i in (1, 2):
        names = (f"{prefix}conv{i}", f"{prefix}bn{i}")
        init = KAIMING_NORMAL_FAN_OUT
        x = conv_block(x, 64, 3, 2, kernel_initializer=init, names=names, momentum=sizes.momentum)
    for i in range(sizes.bottlenecks):
        name = f"{prefix}layer1.{i}"
        x = bottleneck(x, _BOTTLENECK_CHANNELS, name=name, momentum=sizes.momentum)
    return x


def _transition(maps: Maps, sizes: HRNet, name: str) -> Maps:
    """Add a branch at half the resolution of the last one; initially also the finest branch."""
    if len(maps) == 1:
        fine = _conv_block(maps[0], sizes.width, 3, 1, sizes, f"{name}.0")
        coarse = _conv_block(maps[0], 2 * sizes.width, 3, 2, sizes, f"{name}.1.0")
        return [fine, coarse]
    channels = sizes.width * 2 ** len(maps)
    return [*maps, _conv_block(maps[-1], channels, 3, 2, sizes, f"{name}.{len(maps)}.0")]


def _module(maps: Maps, sizes: HRNet, name: str) -> Maps:
    """Apply residual blocks to every branch, then fuse all branches into each."""
    maps = list(maps)
    for i in range(len(maps)):
        for b in range(sizes.blocks):
            block_name = f"{name}.branches.{i}.{b}"
            maps[i] = basic_block(
                maps[i], maps[i].shape[-1], name=block_name, momentum=sizes.momentum
            )
    return [_fused(maps, i, sizes, f"{name}.fuse_layers.{i}") for i in range(len(maps))]


def _fused(maps: Maps, target: int, sizes: HRNet, name: str) -> keras.KerasTensor:
    """Return the sum of all branches at the resolution and channels of branch `target`."""
    like = maps[target]
    terms = []
    for i, x in enumerate(maps):
        if i > target:
            x = _conv_norm(x, like.shape[-1], 1, 1, sizes, f"{name}.{i}")
            x = resize_to(x, like.shape[1], like.shape[2], interpolation=sizes.interpolation)
        elif i < target:
            for step in range(target - i - 1):
                x = _conv_block(x, x.shape[-1], 3, 2, sizes, f"{name}.{i}.{step}")
            x = _conv_norm(x, like.shape[-1], 3, 2, sizes, f"{name}.{i}.{target - i - 1}")
        terms.append(x)
    return layers.ReLU()(layers.Add()(terms))
