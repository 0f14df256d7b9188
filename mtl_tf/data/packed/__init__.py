"""Data sets in TFRecord files: writer, reader and record format."""

from mtl_tf.data.packed.checksums import damaged_files
from mtl_tf.data.packed.packed import PackedDataset
from mtl_tf.data.packed.packing import pack, unpack

__all__ = ["PackedDataset", "damaged_files", "pack", "unpack"]
