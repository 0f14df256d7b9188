"""Task attention: soft mask of one task on shared features."""

import keras
from keras import layers

from mtl_tf.layers.conv_block import batch_norm, conv

_REDUCTION = 4


def task_attention(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Return the soft attention mask of a task.

    Two 1x1 convolutions with batch normalisation, a ReLU between and a sigmoid at the end.

    Source: Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019, equation 2, in
    the form for ResNets of Vandenhende et al., TPAMI 2021.

    Args:
        x: features `[B, h, w, C]`.
        channels: channels of the mask.
        name: prefix of the layers' names.

    Returns:
        Mask `[B, h, w, channels]` in (0, 1).
    """
    inner = max(channels // _REDUCTION, 1)
    x = conv(x, inner, use_bias=True, name=f"{name}.0")
    x = layers.ReLU()(batch_norm(x, name=f"{name}.1"))
    x = conv(x, channels, use_bias=True, name=f"{name}.3")
    return layers.Activation("sigmoid")(batch_norm(x, name=f"{name}.4"))
