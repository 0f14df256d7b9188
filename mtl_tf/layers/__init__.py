"""Reusable pieces of networks, one per file."""

from mtl_tf.layers.channel_scaling import ChannelScaling
from mtl_tf.layers.conv_block import batch_norm, conv, conv_block
from mtl_tf.layers.gradient_reversal import reverse_gradient
from mtl_tf.layers.resize import BilinearResize, bilinear, resize_to

__all__ = [
    "BilinearResize",
    "ChannelScaling",
    "batch_norm",
    "bilinear",
    "conv",
    "conv_block",
    "resize_to",
    "reverse_gradient",
]
