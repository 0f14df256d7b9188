"""Backbones: feature extractors with a pyramid of stage features.

==================== =========== ======================= =======================================
name                 parameters  channels of the stages  source
==================== =========== ======================= =======================================
`resnet18`           11,176,512  64, 128, 256, 512       He et al., CVPR 2016
`resnet34`           21,284,672  64, 128, 256, 512       He et al., CVPR 2016
`resnet50`           23,508,032  256, 512, 1024, 2048    He et al., CVPR 2016 (stride on the 3x3)
`resnet50_v1`        23,508,032  256, 512, 1024, 2048    He et al., CVPR 2016 (as in the paper)
`resnet101`          42,500,160  256, 512, 1024, 2048    He et al., CVPR 2016 (stride on the 3x3)
`hrnet_w18_small_v2` 3,860,720   18, 36, 72, 144         Wang et al., TPAMI 2020; "HRNet-18"
`hrnet_w18`          9,562,260   18, 36, 72, 144         Wang et al., TPAMI 2020
`hrnet_w32`          29,305,536  32, 64, 128, 256        Wang et al., TPAMI 2020
`hrnet_w48`          65,325,120  48, 96, 192, 384        Wang et al., TPAMI 2020
==================== =========== ======================= =======================================

`build(name, input_shape)` returns a backbone as a Keras model whose output is the list of stage
features, finest first; `keras_hub(preset, input_shape)` does the same for backbones of KerasHub.
`load_pretrained` loads published weights. Architectures take such a model, or a name from `TABLE`.
"""

import dataclasses
from collections.abc import Callable

import keras

from mtl_tf.backbones import hrnet, resnet
from mtl_tf.backbones.hub import keras_hub
from mtl_tf.backbones.resnet import OUTPUT_STRIDES
from mtl_tf.backbones.stage import Stage, after_each, changed, stages_of
from mtl_tf.images import checked_input_shape
from mtl_tf.weights.pretrained import load_pretrained


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A row of `TABLE`.

    Attributes:
        stages: `(output_stride, prefix) -> {stage name: stage}`, in order.
        head: name in `mtl_tf.heads.TABLE` of the head that the survey uses with it.
        stride: down-sampling factor of the coarsest features, `None` where `output_stride` sets it.
        paper: reference of the backbone.

    Examples:
        >>> import mtl_tf as mtl
        >>> list(mtl.backbones.TABLE["resnet18"].stages(8, ""))
        ['stem', 'layer1', 'layer2', 'layer3', 'layer4']
    """

    stages: Callable[[int, str], dict[str, Stage]]
    head: str
    stride: int | None
    paper: str


def _resnet(depth: int, strides_on_first: bool = False) -> Backbone:
    def stages(output_stride: int, prefix: str) -> dict[str, Stage]:
        return resnet.resnet_stages(depth, output_stride, prefix, strides_on_first=strides_on_first)

    return Backbone(stages, "deeplab", None, "He et al., CVPR 2016 (dilated: Chen et al., 2017)")


def _hrnet(sizes: hrnet.HRNet) -> Backbone:
    def stages(_output_stride: int, prefix: str) -> dict[str, Stage]:
        return hrnet.hrnet_stages(sizes, prefix)

    return Backbone(stages, "high_resolution", 32, "Wang et al., TPAMI 2020")


TABLE: dict[str, Backbone] = {
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "resnet50_v1": _resnet(50, strides_on_first=True),
    "resnet101": _resnet(101),
    "hrnet_w18_small_v2": _hrnet(hrnet.W18_SMALL_V2),
    "hrnet_w18": _hrnet(hrnet.W18),
    "hrnet_w32": _hrnet(hrnet.W32),
    "hrnet_w48": _hrnet(hrnet.W48),
}
"""The backbones by name."""


def backbone_entry(name: str) -> Backbone:
    """Return the entry `name` of `TABLE`; raise a `ValueError` with the known names otherwise."""
    if name not in TABLE:
        raise ValueError(f"Unknown backbone {name!r}. Known: {sorted(TABLE)}")
    return TABLE[name]


def stages(
    backbone: str | keras.Model, output_stride: int = 8, prefix: str = "backbone."
) -> dict[str, Stage]:
    """Return the stages of a new copy of a backbone, for architectures that share single stages.

    Args:
        backbone: a name from `TABLE`, or a functional Keras model from images to a list (or
            dictionary) of stage features, finest first. Copies of a model start from its weights.
        output_stride: down-sampling factor of the last stage of a ResNet, 8, 16 or 32; further
            strides are replaced by dilation.
        prefix: prefix of the layers' names.

    Returns:
        `{name: stage}` in order; see `mtl_tf.backbones.stage`.

    Raises:
        ValueError: for an unknown name or output stride.
    """
    if isinstance(backbone, str):
        return backbone_entry(backbone).stages(output_stride, prefix)
    return stages_of(backbone, prefix)


def check_size(
    backbone: str, height: int | None, width: int | None, output_stride: int = 8
) -> None:
    """Check that an image size is valid for a backbone.

    Args:
        backbone: a name from `TABLE`.
        height: height of the images in pixels.
        width: width of the images in pixels.
        output_stride: as in `stages`.

    Raises:
        ValueError: unless height and width are multiples of the backbone's largest stride.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(
            f"output_stride must be one of {OUTPUT_STRIDES}. Received: {output_stride}"
        )
    stride = backbone_entry(backbone).stride or output_stride
    if height is None or width is None or height % stride or width % stride:
        raise ValueError(
            f"input_shape needs a height and width that are multiples of {stride} (the largest "
            f"stride of {backbone}): resize, crop or pad the images. Received: {height}x{width}"
        )


def image_input(input_shape: tuple[int, int, int]) -> keras.KerasTensor:
    """Return the symbolic input of a model.

    Args:
        input_shape: `(H, W, 3)`.

    Returns:
        Symbolic images `[B, H, W, 3]`.

    Raises:
        ValueError: for another shape.
    """
    return keras.Input(checked_input_shape(input_shape), name="image")


def build(name: str, input_shape: tuple[int, int, int], output_stride: int = 8) -> keras.Model:
    """Build a backbone as a Keras functional model.

    Args:
        name: a name from `TABLE`.
        input_shape: `(H, W, 3)`; H and W multiples of the largest stride: 32 for HRNet, the output
            stride for ResNet.
        output_stride: down-sampling factor of the last stage of a ResNet: 8, 16 or 32.

    Returns:
        Model from normalised RGB images `[B, H, W, 3]` to a list of stage features, finest first.

    Raises:
        ValueError: for an unknown name, or an invalid size or stride.
    """
    image = image_input(input_shape)
    check_size(name, *input_shape[:2], output_stride)
    pyramids = after_each(stages(name, output_stride, prefix=""), image)
    return keras.Model(image, list(pyramids.values())[-1], name=name)


__all__ = [
    "TABLE",
    "Backbone",
    "Stage",
    "build",
    "changed",
    "check_size",
    "image_input",
    "keras_hub",
    "load_pretrained",
    "stages",
]
