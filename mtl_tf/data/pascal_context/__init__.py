"""PASCAL-Context: the data set, and its annotations of human parts."""

from mtl_tf.data.pascal_context.pascal_context import PascalContext

__all__ = ["PascalContext"]
