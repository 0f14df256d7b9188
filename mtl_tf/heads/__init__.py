"""Heads: task-specific layers after the last shared features.

================= =================================================== =======================
name              from the backbone's pyramid                         source
================= =================================================== =======================
`deeplab`         the last stage, through atrous spatial pooling      Chen et al., 2017
`high_resolution` all stages, upsampled, concatenated and mixed       Wang et al., TPAMI 2020
`conv`            all stages, projected and summed, coarse to fine    Lin et al., CVPR 2017
`sub_pixel`       as `conv`, at twice the resolution                  Shi et al., CVPR 2016
`skip`            all stages, each projected to the task's channels   Kokkinos, CVPR 2017
================= =================================================== =======================

A head is a function `(features, channels, name) -> raw prediction` at feature resolution;
`sub_pixel` predicts at twice that.
"""

from collections.abc import Callable

import keras

from mtl_tf.heads.conv import conv_head, sub_pixel_head
from mtl_tf.heads.deeplab import deeplab_head, spatial_pyramid
from mtl_tf.heads.high_resolution import high_resolution_fuse, high_resolution_head
from mtl_tf.heads.skip import skip_head

Head = Callable[[list[keras.KerasTensor], int, str], keras.KerasTensor]

TABLE: dict[str, Head] = {
    "deeplab": deeplab_head,
    "high_resolution": high_resolution_head,
    "conv": conv_head,
    "sub_pixel": sub_pixel_head,
    "skip": skip_head,
}
"""The heads by name."""

__all__ = [
    "TABLE",
    "conv_head",
    "deeplab_head",
    "high_resolution_fuse",
    "high_resolution_head",
    "skip_head",
    "spatial_pyramid",
    "sub_pixel_head",
]
