"""PASCAL-Context: the data set, and the parts of people in its files."""

from mtl_tf.data.pascal_context.pascal_context import PascalContext

__all__ = ["PascalContext"]
