"""Reusable pieces of networks, one per file."""

from mtl_tf.layers.conv_block import batch_norm, conv, conv_block
from mtl_tf.layers.resize import resize_to

__all__ = ["batch_norm", "conv", "conv_block", "resize_to"]
