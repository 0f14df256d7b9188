"""Readers of arrays: NumPy and MATLAB files.

Sizes in headers are compared with the size of the file before memory is allocated.
"""

import io
import math
import pathlib
import zipfile
from typing import Any

import numpy as np
import scipy.io

from mtl_tf.data.files.npy import decode_npy
from mtl_tf.data.files.paths import require_file
from mtl_tf.data.sample import DataError
from mtl_tf.text import first_line, shown

_MAX_MATLAB_SIZE = 1 << 28  # elements of a variable of a MATLAB file
_MAX_ARCHIVED_BYTES = 1 << 30


def read_array(path: pathlib.Path) -> np.ndarray:
    """Read a NumPy array of numbers; pickled objects are refused."""
    require_file(path)
    try:
        with path.open("rb") as stream:
            array = decode_npy(stream, path.stat().st_size)
    except Exception as error:  # NumPy also raises TokenError, SyntaxError, MemoryError
        raise DataError(
            f"{shown(path)} is damaged or not a NumPy array: {first_line(error)}"
        ) from error
    return _numbers(array, path)


def read_archived_array(path: pathlib.Path) -> np.ndarray:
    """Read the only array of an `.npz` file; pickled objects are refused."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1:
                raise ValueError(f"it has {len(members)} arrays: save one")
            with archive.open(members[0]) as stream:
                content = io.BytesIO(stream.read(_MAX_ARCHIVED_BYTES + 1))
        size = content.getbuffer().nbytes
        if size > _MAX_ARCHIVED_BYTES:
            raise ValueError(f"it unpacks to more than {_MAX_ARCHIVED_BYTES >> 20} MiB")
        array = decode_npy(content, size)
    except Exception as error:  # zlib, zipfile and NumPy raise many types
        raise DataError(
            f"{shown(path)} is damaged or not a NumPy archive: {first_line(error)}"
        ) from error
    return _numbers(array, path)


def _numbers(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{shown(path)} must hold numbers. It has dtype {array.dtype}")
    return array


def read_matlab(path: pathlib.Path, key: str) -> np.ndarray | dict[str, Any]:
    """Read a variable of a MATLAB file (before 7.3); structures become dictionaries."""
    require_file(path)
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
        if math.prod(shapes[key]) > _MAX_MATLAB_SIZE:
            raise ValueError(f"{key!r} claims to be {'x'.join(map(str, shapes[key]))}")
        return scipy.io.loadmat(path, simplify_cells=True, variable_names=[key])[key]
    except Exception as error:  # SciPy raises many types
        raise DataError(f"{shown(path)} is damaged or lacks {key!r}: {error!r}") from error


def as_list(value: np.ndarray | dict[str, Any]) -> list[Any]:
    """Return a MATLAB cell, struct or struct array as a list."""
    return [value] if isinstance(value, dict) else list(np.ravel(np.asarray(value, object)))
