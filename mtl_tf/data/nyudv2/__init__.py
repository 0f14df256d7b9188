"""NYU Depth v2: the data set, its classes, and its layouts on disk."""

from mtl_tf.data.nyudv2.nyudv2 import NYUDv2

__all__ = ["NYUDv2"]
