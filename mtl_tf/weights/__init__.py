"""Published weights in Keras models.

================== =======================================================================
`load_pretrained`  fill a backbone with weights of torchvision, timm, HRNet's authors, Keras
================== =======================================================================
"""

from mtl_tf.weights.pretrained import load_pretrained

__all__ = ["load_pretrained"]
