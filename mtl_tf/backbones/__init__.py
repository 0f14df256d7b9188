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
`efficientnet_lite0` 2,958,848   24, 40, 112, 320        Tan & Le, ICML 2019 (the Lite variant)
`efficientnet_lite1` 3,723,520   24, 40, 112, 320        Tan & Le, ICML 2019 (the Lite variant)
`efficientnet_lite2` 4,357,952   24, 48, 120, 352        Tan & Le, ICML 2019 (the Lite variant)
`efficientnet_lite3` 6,422,016   32, 48, 136, 384        Tan & Le, ICML 2019 (the Lite variant)
`efficientnet_lite4` 11,149,568  32, 56, 160, 448        Tan & Le, ICML 2019 (the Lite variant)
==================== =========== ======================= =======================================

`build(name, input_shape, weights="imagenet")` returns a backbone as a Keras model whose output is
the list of stage features, finest first; `keras_hub(preset, input_shape)` does the same for
backbones of KerasHub. Architectures take such a model, or a name from `TABLE`, which has published
weights for each (`mtl_tf.weights`).
"""

import dataclasses
import os
from collections.abc import Callable

import keras

from mtl_tf.backbones import efficientnet_lite, hrnet, resnet
from mtl_tf.backbones.hub import keras_hub
from mtl_tf.backbones.stage import Stage, after_each, changed, check_output_stride, stages_of
from mtl_tf.images import checked_input_shape
from mtl_tf.weights.pretrained import load_pretrained


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A row of `TABLE`.

    Attributes:
        stages: `(output_stride, prefix) -> {stage name: stage}`, in order.
        head: name in `mtl_tf.heads.TABLE` of the head used with it by default; for ResNet and HRNet
            that of the survey.
        paper: reference of the backbone.

    Examples:
        >>> import mtl_tf as mtl
        >>> list(mtl.backbones.TABLE["resnet18"].stages(8, ""))
        ['stem', 'layer1', 'layer2', 'layer3', 'layer4']
    """

    stages: Callable[[int, str], dict[str, Stage]]
    head: str
    paper: str


def _resnet(depth: int, strides_on_first: bool = False) -> Backbone:
    def stages(output_stride: int, prefix: str) -> dict[str, Stage]:
        return resnet.resnet_stages(depth, output_stride, prefix, strides_on_first=strides_on_first)

    return Backbone(stages, "deeplab", "He et al., CVPR 2016 (dilated: Chen et al., 2017)")


def _hrnet(sizes: hrnet.HRNet) -> Backbone:
    def stages(_output_stride: int, prefix: str) -> dict[str, Stage]:
        return hrnet.hrnet_stages(sizes, prefix)

    return Backbone(stages, "high_resolution", "Wang et al., TPAMI 2020")


def _efficientnet_lite(sizes: efficientnet_lite.EfficientNetLite) -> Backbone:
    def stages(output_stride: int, prefix: str) -> dict[str, Stage]:
        return efficientnet_lite.efficientnet_lite_stages(sizes, output_stride, prefix)

    return Backbone(stages, "conv", "Tan & Le, ICML 2019")


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
    "efficientnet_lite0": _efficientnet_lite(efficientnet_lite.LITE0),
    "efficientnet_lite1": _efficientnet_lite(efficientnet_lite.LITE1),
    "efficientnet_lite2": _efficientnet_lite(efficientnet_lite.LITE2),
    "efficientnet_lite3": _efficientnet_lite(efficientnet_lite.LITE3),
    "efficientnet_lite4": _efficientnet_lite(efficientnet_lite.LITE4),
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
        output_stride: down-sampling factor of the last stage of a ResNet or EfficientNet-Lite, 8,
            16 or 32; further strides are replaced by dilation.
        prefix: prefix of the layers' names.

    Returns:
        `{name: stage}` in order; see `mtl_tf.backbones.stage`.

    Raises:
        ValueError: for an unknown name or output stride.
    """
    if isinstance(backbone, str):
        return backbone_entry(backbone).stages(output_stride, prefix)
    return stages_of(backbone, prefix)


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


def build(
    name: str,
    input_shape: tuple[int, int, int],
    output_stride: int = 8,
    weights: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Build a backbone as a Keras functional model.

    Args:
        name: a name from `TABLE`.
        input_shape: `(H, W, 3)`, any height and width.
        output_stride: down-sampling factor of the last stage of a ResNet or EfficientNet-Lite: 8,
            16 or 32.
        weights: `None` for random initialisation, `"imagenet"` for the published weights, or the
            path of a checkpoint: see `load_pretrained`.

    Returns:
        Model from normalised RGB images `[B, H, W, 3]` to a list of stage features, finest first.

    Raises:
        ValueError: for an unknown name, an invalid stride, or weights that do not fit.
        ConnectionError: if weights cannot be downloaded.
    """
    image = image_input(input_shape)
    check_output_stride(output_stride)
    pyramids = after_each(stages(name, output_stride, prefix=""), image)
    model = keras.Model(image, list(pyramids.values())[-1], name=name)
    if weights is not None:
        load_pretrained(model, weights)
    return model


__all__ = [
    "TABLE",
    "Backbone",
    "Stage",
    "build",
    "changed",
    "check_output_stride",
    "image_input",
    "keras_hub",
    "load_pretrained",
    "stages",
]
