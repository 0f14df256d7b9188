"""Losses of dense tasks: a pure function and a `keras.losses.Loss` for each.

============================= ======================== ===============================
class                         tasks                    per valid pixel
============================= ======================== ===============================
`SegmentationCrossEntropy`    semseg, human_parts      softmax cross-entropy
`BalancedBinaryCrossEntropy`  edges, saliency          class-balanced sigmoid cross-entropy
`L1`                          depth, keypoints, ..     absolute error, of depth in metres
`NormalsL1`                   normals                  absolute error of the unit vector
============================= ======================== ===============================

All take `y_true [B, H, W, C]`, `y_pred [B, H, W, C]` and `sample_weight [B, H, W]` (the validity
mask) and return a float32 scalar: the mean over valid pixels, 0 with zero gradient if there are
none. The values of invalid pixels of `y_true` (255, NaN, infinity) have no effect.
`class_weights` makes weights of the classes from their frequencies in a data set.
"""

from mtl_tf.losses.base import DenseLoss
from mtl_tf.losses.class_weights import class_frequencies, class_weights
from mtl_tf.losses.edges import BalancedBinaryCrossEntropy, balanced_binary_cross_entropy
from mtl_tf.losses.l1 import L1, l1
from mtl_tf.losses.normals import NormalsL1, normals_l1
from mtl_tf.losses.segmentation import SegmentationCrossEntropy, segmentation_cross_entropy

__all__ = [
    "L1",
    "BalancedBinaryCrossEntropy",
    "DenseLoss",
    "NormalsL1",
    "SegmentationCrossEntropy",
    "balanced_binary_cross_entropy",
    "class_frequencies",
    "class_weights",
    "l1",
    "normals_l1",
    "segmentation_cross_entropy",
]
