"""Light heads: the stages of the backbone projected, summed from coarse to fine, and convolved."""

import keras
from keras import layers

from mtl_tf.layers.conv_block import KAIMING_NORMAL_FAN_OUT, conv, conv_block
from mtl_tf.layers.resize import resize_to

_CHANNELS = 64


def conv_head(features: list[keras.KerasTensor], channels: int, name: str) -> keras.KerasTensor:
    """Predict from the sum of all stages at the finest resolution.

    Inexpensive; suited to small input sizes.

    Source: the top-down pathway of Lin et al., "Feature Pyramid Networks", CVPR 2017.

    Args:
        features: stage features `[B, h_s, w_s, C_s]`, finest first.
        channels: channels of the prediction.
        name: prefix of the layers' names.

    Returns:
        Raw prediction `[B, h_0, w_0, channels]`.
    """
    x = _top_down(features, name)
    return conv(x, channels, 1, use_bias=True, name=f"{name}.predict")


def sub_pixel_head(
    features: list[keras.KerasTensor], channels: int, name: str
) -> keras.KerasTensor:
    """Predict as `conv_head` does, at twice the resolution of the finest stage.

    The last convolution predicts the four pixels of each position: sharper outlines at hardly any
    cost.

    Source: the sub-pixel convolution of Shi et al., CVPR 2016, on the pathway of `conv_head`.

    Args:
        features: stage features `[B, h_s, w_s, C_s]`, finest first.
        channels: channels of the prediction.
        name: prefix of the layers' names.

    Returns:
        Raw prediction `[B, 2 h_0, 2 w_0, channels]`.
    """
    x = _top_down(features, name)
    x = conv(x, 4 * channels, 1, use_bias=True, name=f"{name}.predict")
    return keras.ops.depth_to_space(x, 2, data_format="channels_last")


def _top_down(features: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Return the mixed features `[B, h_0, w_0, 64]` of all stages."""
    init = KAIMING_NORMAL_FAN_OUT
    x: keras.KerasTensor | None = None
    for s in reversed(range(len(features))):
        stage = features[s]
        lateral = conv(stage, _CHANNELS, 1, use_bias=True, name=f"{name}.lateral.{s}")
        if x is not None:
            lateral = layers.Add()([lateral, resize_to(x, stage.shape[1], stage.shape[2])])
        x = lateral
    for i in range(2):
        names = (f"{name}.conv.{i}", f"{name}.bn.{i}")
        x = conv_block(x, _CHANNELS, 3, kernel_initializer=init, names=names)
    return x
