"""Published weights for Keras models.

================== ===========================================================================
`load_pretrained`  loads weights of torchvision, timm, the authors of HRNet, or Keras
`TABLE`            published ImageNet weights by backbone: address, digest, licence, source
`find`             returns a file of them from a package, a folder, a cache, or a download
================== ===========================================================================

Files of PyTorch are read without PyTorch, and without running code in them.
"""

from mtl_tf.weights.pretrained import IMAGENET, load_pretrained
from mtl_tf.weights.published_weights import TABLE, PublishedWeights, WeightsFile, find

__all__ = ["IMAGENET", "TABLE", "PublishedWeights", "WeightsFile", "find", "load_pretrained"]
