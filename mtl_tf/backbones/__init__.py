"""Backbones: shared feature extractors with a pyramid of stage features.

=================== =========== ============================ =================================
name                parameters  stages (channels)            source
=================== =========== ============================ =================================
`resnet18`          11,176,512  64, 128, 256, 512            He et al., CVPR 2016
`resnet34`          21,284,672  64, 128, 256, 512            He et al., CVPR 2016
`resnet50`          23,508,032  256, 512, 1024, 2048         He et al., CVPR 2016
`resnet101`         42,500,160  256, 512, 1024, 2048         He et al., CVPR 2016
=================== =========== ============================ =================================

`build(name, input_shape)` gives a backbone as a Keras model whose output is the list of its stages'
features, finest first. Architectures take such a model, or a name from `TABLE`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from mtl_tf.backbones import resnet

Stage = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A row of `TABLE`.

    Attributes:
        stages: `(output_stride, prefix) -> {stage name: features -> features}`, in order.
        head: name in `mtl_tf.heads.TABLE` of the head the survey uses with it.
        paper: where it comes from.
    """

    stages: Callable[[int, str], dict[str, Stage]]
    head: str
    paper: str


def _resnet(depth: int) -> Backbone:
    def stages(output_stride: int, prefix: str) -> dict[str, Stage]:
        return resnet.resnet_stages(depth, output_stride, prefix)

    return Backbone(stages, "deeplab", "He et al., CVPR 2016 (dilated: Chen et al., 2017)")


TABLE: dict[str, Backbone] = {f"resnet{depth}": _resnet(depth) for depth in (18, 34, 50, 101)}
"""The backbones by name."""


def backbone_entry(name: str) -> Backbone:
    """The row of `TABLE` called `name`; `ValueError` naming the known ones otherwise."""
    if name not in TABLE:
        raise ValueError(f"Unknown backbone {name!r}. Known: {sorted(TABLE)}")
    return TABLE[name]


def features(
    backbone: str | keras.Model, image: Any, output_stride: int = 8, prefix: str = "backbone."
) -> list[Any]:
    """Applies a backbone to `image` inside a functional model.

    Args:
        backbone: a name from `TABLE`, or a Keras model from images to a list (or dictionary) of
            stage features, finest first.
        image: `[B, H, W, 3]`, RGB normalised with the ImageNet mean and standard deviation.
        output_stride: down-sampling factor of the last stage, 8, 16 or 32: the strides beyond it
            become dilations. Only for a backbone given by name.
        prefix: put before the names of the layers.

    Returns:
        List of stage features `[B, h, w, C]`, finest first.

    Raises:
        ValueError: for an unknown name, an output stride that is not offered, or an image whose
            height and width are not multiples of it.
    """
    if isinstance(backbone, str):
        _check_size(image, output_stride)
        x, pyramid = image, []
        for name, stage in backbone_entry(backbone).stages(output_stride, prefix).items():
            x = stage(x)
            if name != "stem":
                pyramid.append(x)
        return pyramid
    outputs = backbone(image)
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _check_size(image: Any, output_stride: int) -> None:
    height, width = image.shape[1:3]
    if height is None or width is None or height % output_stride or width % output_stride:
        raise ValueError(
            f"input_shape needs a height and width that are multiples of {output_stride} (the "
            f"backbone's largest stride). Received: {height}x{width}"
        )


def build(name: str, input_shape: tuple[int, int, int], output_stride: int = 8) -> keras.Model:
    """A backbone as a Keras functional model.

    Args:
        name: a name from `TABLE`.
        input_shape: `(H, W, 3)`, H and W multiples of `output_stride`.
        output_stride: down-sampling factor of the last stage: 8, 16 or 32.

    Returns:
        Model from normalised RGB images `[B, H, W, 3]` to a list of stage features, finest first.

    Raises:
        ValueError: for an unknown name, or a size or stride that does not fit.
    """
    image = keras.Input(input_shape, name="image")
    return keras.Model(image, features(name, image, output_stride, prefix=""), name=name)


__all__ = ["TABLE", "Backbone", "build", "features"]
