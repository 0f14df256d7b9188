"""KerasHub's backbones with pyramid outputs (ResNet, MiT, CSPDarkNet, ...) as backbones here."""

from typing import Any

import keras

_FINEST_STRIDE = 4


def keras_hub(preset: Any, input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """A KerasHub backbone with pyramid outputs as a backbone for architectures.

    Needs KerasHub (`pip install "mtl_tf[hub]"`), which downloads presets with its progress bar.
    Images are normalised as everywhere here; a preset that was trained on others needs a rescaling
    in front. KerasHub 0.32 can neither copy nor reload the layers of its MiT: use it in
    `SharedTrunk` and save weights.

    Args:
        preset: name or folder of a preset, such as `"resnet_50_imagenet"`, or a
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
    if not levels or len(getattr(backbone, "inputs", ())) != 1:
        raise ValueError(
            "A backbone needs pyramid outputs (a keras_hub FeaturePyramidBackbone). Received: "
            f"{type(backbone).__name__}"
        )
    if tuple(backbone.inputs[0].shape[1:]) != tuple(input_shape):
        raise ValueError(
            f"The backbone must be built with image_shape={tuple(input_shape)}. Received: "
            f"{tuple(backbone.inputs[0].shape[1:])}"
        )
    # Presets number their levels differently; their resolution tells what they are.
    strided = [x for x in levels.values() if input_shape[0] // x.shape[1] >= _FINEST_STRIDE]
    features = sorted(strided, key=lambda x: -x.shape[1])
    return keras.Model(backbone.inputs[0], features, name=backbone.name)
