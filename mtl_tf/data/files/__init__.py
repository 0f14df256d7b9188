"""Readers of files of data sets; every failure is a `DataError` with the path of the file.

Files are untrusted: none may claim more memory than it fills, run code, or lead out of its folder.

========= ==========================================================
`paths`   files that must exist, lists of ids
`images`  photographs, maps of codes, images of numbers
`arrays`  NumPy and MATLAB files
`npy`     decoder of the `.npy` format
`checks`  classes, depth and normals that are what they claim to be
========= ==========================================================
"""

from mtl_tf.data.files.arrays import as_list, read_archived_array, read_array, read_matlab
from mtl_tf.data.files.checks import check_classes, checked_depth, read_normals
from mtl_tf.data.files.images import decode_image, read_image, read_map, read_map_16, read_pixels
from mtl_tf.data.files.npy import decode_npy
from mtl_tf.data.files.paths import (
    check_ids,
    first_existing,
    leads_out,
    read_ids,
    read_lines,
    require,
    require_file,
)

__all__ = [
    "as_list",
    "check_classes",
    "check_ids",
    "checked_depth",
    "decode_image",
    "decode_npy",
    "first_existing",
    "leads_out",
    "read_archived_array",
    "read_array",
    "read_ids",
    "read_image",
    "read_lines",
    "read_map",
    "read_map_16",
    "read_matlab",
    "read_normals",
    "read_pixels",
    "require",
    "require_file",
]
