"""Squeeze and excitation: channels rescaled by a function of their image means."""

import keras
from keras import layers

from mtl_tf.layers.conv_block import dense


def squeeze_excite(x: keras.KerasTensor, name: str, *, reduction: int = 16) -> keras.KerasTensor:
    """Return `x · sigmoid(W₂ ReLU(W₁ m))`.

    where `m` are the means of the channels over the image, `W₁` and `W₂` dense layers; the product
    is per channel.

    Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, equation 3.

    Args:
        x: features `[B, h, w, C]`.
        name: prefix of the layers' names.
        reduction: ratio of the channels to the units of the hidden layer.

    Returns:
        Features `[B, h, w, C]`.
    """
    channels = x.shape[-1]
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.ReLU()(dense(scale, max(channels // reduction, 1), name=f"{name}.0"))
    scale = layers.Activation("sigmoid")(dense(scale, channels, name=f"{name}.2"))
    return layers.Multiply()([x, scale])
