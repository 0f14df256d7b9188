"""High-resolution head: all branches at the finest resolution, concatenated and mixed (HRNet)."""

import keras
from keras import layers

from mtl_tf.layers.conv_block import batch_norm, conv
from mtl_tf.layers.resize import resize_to


def high_resolution_fuse(features: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Upsample all stages to the finest resolution, concatenate, and mix by a 1x1 convolution.

    Source: Wang et al., "Deep High-Resolution Representation Learning", TPAMI 2020, section 3.4.

    Args:
        features: stage features `[B, h_s, w_s, C_s]`, finest first.
        name: prefix of the layers' names.

    Returns:
        Features `[B, h_0, w_0, Σ C_s]`.
    """
    fine = features[0]
    upsampled = [resize_to(x, fine.shape[1], fine.shape[2]) for x in features[1:]]
    x = layers.Concatenate()([fine, *upsampled])
    x = conv(x, x.shape[-1], 1, use_bias=True, name=f"{name}.last_layer.0")
    return layers.ReLU()(batch_norm(x, name=f"{name}.last_layer.1"))


def high_resolution_head(
    features: list[keras.KerasTensor], channels: int, name: str
) -> keras.KerasTensor:
    """Predict by `high_resolution_fuse` and a 1x1 convolution.

    Source: as `high_resolution_fuse`.

    Args:
        features: stage features `[B, h_s, w_s, C_s]`, finest first.
        channels: channels of the prediction.
        name: prefix of the layers' names.

    Returns:
        Raw prediction `[B, h_0, w_0, channels]`.
    """
    x = high_resolution_fuse(features, name)
    return conv(x, channels, 1, use_bias=True, name=f"{name}.last_layer.3")
