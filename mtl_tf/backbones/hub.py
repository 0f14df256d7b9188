"""KerasHub backbones with pyramid outputs: ResNet, MiT, DenseNet, ..."""

import types
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mtl_tf.optional_packages import optional_import

_FINEST_STRIDE = 4


@keras.saving.register_keras_serializable(package="mtl_tf")
class HubBackbone(keras.Model):
    """Pyramid of feature maps of a KerasHub backbone, cloned and reloaded through that backbone.

    Args:
        backbone: a `keras_hub.models.Backbone` with pyramid outputs.
        name: name of the model, the backbone's by default.

    Call arguments: images `[B, H, W, 3]`. Returns a list of maps `[B, h, w, C]` of strides from 4,
    finest first.

    Raises:
        ValueError: if the backbone has no pyramid of feature maps.
    """

    def __init__(self, backbone: keras.Model, name: str | None = None) -> None:
        levels: Mapping[str, keras.KerasTensor] | None = getattr(backbone, "pyramid_outputs", None)
        inputs: Sequence[keras.KerasTensor] = getattr(backbone, "inputs", ())
        if not levels or len(inputs) != 1 or any(len(x.shape) != 4 for x in levels.values()):
            raise ValueError(
                "A backbone needs pyramid outputs that are maps [B, h, w, C] (a keras_hub "
                f"FeaturePyramidBackbone). Received: {type(backbone).__name__}"
            )
        # Backbones number their levels differently: identify them by resolution.
        height = inputs[0].shape[1]
        maps = [x for x in levels.values() if height // x.shape[1] >= _FINEST_STRIDE]
        maps = sorted(maps, key=lambda x: -x.shape[1])
        super().__init__(inputs[0], maps, name=name or backbone.name)
        self.arguments = types.MappingProxyType({"backbone": backbone})

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration: that of the KerasHub backbone, and the name."""
        backbone = keras.saving.serialize_keras_object(self.arguments["backbone"])
        return {"backbone": backbone, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "HubBackbone":
        """Create the model from the configuration of `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        return cls(backbone, config["name"])


def keras_hub(
    preset: str | keras.Model, input_shape: tuple[int, int, int], **options: Any
) -> keras.Model:
    """Return a KerasHub backbone with pyramid outputs as a backbone of architectures.

    Needs KerasHub (`pip install ".[hub]"`), which downloads presets with a progress bar. Images are
    normalised by the mean and standard deviation of ImageNet, as everywhere in this library; a
    preset that expects other inputs needs a rescaling layer before it.

    Args:
        preset: name or folder of a preset, such as `"resnet_50_imagenet"`, or a
            `keras_hub.models.Backbone` built for `input_shape`.
        input_shape: `(H, W, 3)`.
        **options: arguments of `keras_hub.models.Backbone.from_preset`.

    Returns:
        Model from images `[B, H, W, 3]` to a list of stage features `[B, h, w, C]`, finest first,
        those at strides below 4 excluded.

    Raises:
        ValueError: if the backbone has no pyramid of feature maps or was built for another size.
        ImportError: if KerasHub is needed but not installed.
    """
    backbone = preset
    if not isinstance(preset, keras.Model):
        library = optional_import("keras_hub", "A preset of KerasHub")
        backbone = library.models.Backbone.from_preset(preset, image_shape=input_shape, **options)
    sizes = [tuple(x.shape[1:]) for x in getattr(backbone, "inputs", ())]
    if hasattr(backbone, "pyramid_outputs") and sizes != [tuple(input_shape)]:
        raise ValueError(
            f"The backbone must be built with image_shape={tuple(input_shape)}. Received: "
            f"{sizes[0] if len(sizes) == 1 else sizes}"
        )
    return HubBackbone(backbone)
