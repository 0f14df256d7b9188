"""KerasHub's backbones (ResNet, MiT, Swin, ConvNeXt, ...) as backbones here."""

from typing import Any

import keras


def keras_hub(preset: Any, input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """A KerasHub backbone with pyramid outputs as a backbone for architectures.

    Needs KerasHub (`pip install "mtl_tf[hub]"`). A preset is downloaded by KerasHub, with its
    progress bar. Images are given as everywhere here, RGB normalised with the ImageNet mean and
    standard deviation, which is what most presets were trained with.

    Args:
        preset: name or folder of a preset, such as `"mit_b0_ade20k_512"`, or a
            `keras_hub.models.Backbone` built for `input_shape`.
        input_shape: `(H, W, 3)`.
        **options: for `keras_hub.models.Backbone.from_preset`.

    Returns:
        Model from images `[B, H, W, 3]` to a list of stage features `[B, h, w, C]`, finest first,
        without those at strides below 4.

    Raises:
        ValueError: if the backbone has no pyramid outputs or was built for another size.
        ImportError: if KerasHub is needed and not installed.
    """
    backbone = preset
    if not isinstance(preset, keras.Model):
        try:
            import keras_hub as library
        except ImportError as error:
            raise ImportError('This needs KerasHub: pip install "mtl_tf[hub]"') from error
        backbone = library.models.Backbone.from_preset(preset, image_shape=input_shape, **options)
    levels = getattr(backbone, "pyramid_outputs", None)
    if not levels:
        raise ValueError(
            f"A backbone needs pyramid outputs (a keras_hub FeaturePyramidBackbone). Received: "
            f"{type(backbone).__name__}"
        )
    if tuple(backbone.input.shape[1:]) != tuple(input_shape):
        raise ValueError(
            f"The backbone must be built with image_shape={tuple(input_shape)}. Received: "
            f"{tuple(backbone.input.shape[1:])}"
        )
    by_level = {int(name.removeprefix("P")): tensor for name, tensor in levels.items()}
    features = [by_level[level] for level in sorted(by_level) if level >= 2]
    return keras.Model(backbone.input, features, name=backbone.name)
