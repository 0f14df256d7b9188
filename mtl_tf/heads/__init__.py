"""Heads: task-specific parts behind the last shared feature.

=========== ===================================================== ===========================
name        from the backbone's pyramid                           source
=========== ===================================================== ===========================
`deeplab`   the last stage, through atrous spatial pooling         Chen et al., 2017
`conv`      all stages, projected and summed from coarse to fine   Lin et al., CVPR 2017
=========== ===================================================== ===========================

A head is a function `(features, channels, name) -> raw prediction` at feature resolution.
"""

from collections.abc import Callable
from typing import Any

from mtl_tf.heads.conv import conv_head
from mtl_tf.heads.deeplab import deeplab_head

TABLE: dict[str, Callable[[list[Any], int, str], Any]] = {
    "deeplab": deeplab_head,
    "conv": conv_head,
}
"""The heads by name."""

__all__ = ["TABLE", "conv_head", "deeplab_head"]
