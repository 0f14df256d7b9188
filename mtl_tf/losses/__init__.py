"""Losses of dense tasks: a pure function and a `keras.losses.Loss` for each.

============================= ======================== ===============================
class                         tasks                    per valid pixel
============================= ======================== ===============================
`SegmentationCrossEntropy`    semseg, human_parts      softmax cross-entropy
`BalancedBinaryCrossEntropy`  edges, saliency          class-balanced sigmoid cross-entropy
`DepthL1`                     depth                    absolute error in metres
`NormalsL1`                   normals                  absolute error of the unit vector
============================= ======================== ===============================

All take `y_true [B, H, W, C]`, `y_pred [B, H, W, C]` and `sample_weight [B, H, W]` (the validity
mask) and return a float32 scalar: the mean over valid pixels, 0 with zero gradient if there is
none. What stands in an invalid pixel of `y_true` (255, NaN, infinity) has no influence.
"""

from mtl_tf.losses.base import DenseLoss
from mtl_tf.losses.depth import DepthL1, depth_l1
from mtl_tf.losses.edges import BalancedBinaryCrossEntropy, balanced_binary_cross_entropy
from mtl_tf.losses.normals import NormalsL1, normals_l1
from mtl_tf.losses.segmentation import SegmentationCrossEntropy, segmentation_cross_entropy

__all__ = [
    "BalancedBinaryCrossEntropy",
    "DenseLoss",
    "DepthL1",
    "NormalsL1",
    "SegmentationCrossEntropy",
    "balanced_binary_cross_entropy",
    "depth_l1",
    "normals_l1",
    "segmentation_cross_entropy",
]
