"""Berkeley Segmentation Data Sets: BSDS500, and BSDS300 with masks of salient objects."""

from mtl_tf.data.bsds.bsds500 import Bsds500
from mtl_tf.data.bsds.bsds_sod import BsdsSod

__all__ = ["Bsds500", "BsdsSod"]
