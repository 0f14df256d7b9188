"""Squeeze and excitation: channels scaled by what the whole image says of them."""

from typing import Any

from keras import layers

from mtl_tf.layers.conv_block import dense


def squeeze_excite(x: Any, name: str, reduction: int = 16) -> Any:
    """`x` times a number in (0, 1) for each channel, from the channels' means.

    Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, equation 3.

    Args:
        x: features `[B, h, w, C]`.
        name: prefix of the layers' names.
        reduction: how many times fewer units than channels the layer between has.

    Returns:
        Features `[B, h, w, C]`.
    """
    channels = x.shape[-1]
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.ReLU()(dense(scale, max(channels // reduction, 1), name=f"{name}.0"))
    scale = layers.Activation("sigmoid")(dense(scale, channels, name=f"{name}.2"))
    return layers.Multiply()([x, scale])
