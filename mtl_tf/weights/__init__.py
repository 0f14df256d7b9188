"""Published weights for Keras models.

================== =======================================================================
`load_pretrained`  load weights of torchvision, timm, the authors of HRNet, or Keras
================== =======================================================================
"""

from mtl_tf.weights.pretrained import load_pretrained

__all__ = ["load_pretrained"]
