"""Skip head: every stage projected to the task's channels, upsampled and mixed (UberNet)."""

import keras
from keras import layers

from mtl_tf.layers.conv_block import conv, conv_block
from mtl_tf.layers.resize import resize_to


def skip_head(features: list[keras.KerasTensor], channels: int, name: str) -> keras.KerasTensor:
    """Predict from all stages, each projected by a 1x1 convolution, mixed by another.

    Source: Kokkinos, "UberNet", CVPR 2017, section 2.1, as in Maninis et al., CVPR 2019.

    Args:
        features: stage features `[B, h_s, w_s, C_s]`, finest first.
        channels: channels of the prediction.
        name: prefix of the layers' names.

    Returns:
        Raw prediction `[B, h_0, w_0, channels]`.
    """
    height, width = features[0].shape[1:3]
    stages = []
    for s, x in enumerate(features):
        names = (f"{name}.stages.{s}.conv", f"{name}.stages.{s}.bn")
        stages.append(resize_to(conv_block(x, channels, names=names), height, width))
    x = layers.Concatenate()(stages) if len(stages) > 1 else stages[0]
    return conv(x, channels, use_bias=True, name=f"{name}.predict")
