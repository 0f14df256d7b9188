"""Decoder of the `.npy` format: numbers only, safe in threads.

NumPy reads the header with Python's parser. In CPython 3.11 that parser fails now and then when
two threads use it, and the threads of an input pipeline run beside the tracing of `tf.function`,
which uses it too. So this decoder reads the header's three fields itself.

Source: the format specification in NumPy's documentation (numpy.lib.format); CPython issue 106905.
"""

import math
import re
from typing import BinaryIO

import numpy as np

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4}  # major version: bytes of the header's length
_MAX_HEADER_BYTES = 10_000
_DTYPE = re.compile(r"['\"]descr['\"]\s*:\s*['\"]([<>|=]?[a-zA-Z]\d*)['\"]")
_ORDER = re.compile(r"['\"]fortran_order['\"]\s*:\s*(True|False)\b")
_SHAPE = re.compile(r"['\"]shape['\"]\s*:\s*\(([\d,\s]*)\)")


def decode_npy(stream: BinaryIO, size: int) -> np.ndarray:
    """Decode a `.npy` stream.

    Args:
        stream: a binary stream at the start of the array.
        size: its length in bytes.

    Raises:
        ValueError: if the header is damaged or claims more bytes, or the array holds pickled
            objects.
    """
    shape, fortran_order, dtype = _header(stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which could run code: save plain numbers")
    claimed, available = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if claimed > available:
        raise ValueError(f"its header claims {claimed} bytes of numbers, there are {available}")
    content = bytearray(stream.read(claimed))  # writable, as that of numpy.load
    if len(content) < claimed:
        raise ValueError(f"it ends after {len(content)} of {claimed} bytes of numbers")
    numbers = np.frombuffer(content, dtype, math.prod(shape))
    return numbers.reshape(shape, order="F" if fortran_order else "C")


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC!r}")
    major = int.from_bytes(stream.read(2)[:1], "little")
    if major not in _LENGTH_BYTES:
        raise ValueError(f"version {major} of the format: save plain numbers with numpy.save")
    length = int.from_bytes(stream.read(_LENGTH_BYTES[major]), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"its header claims to have {length} bytes")
    header = stream.read(length).decode("latin1")
    fields = [pattern.search(header) for pattern in (_DTYPE, _ORDER, _SHAPE)]
    if None in fields:
        raise ValueError(f"its header must describe an array of numbers. It is {header.strip()!r}")
    dtype, fortran_order, shape = (field[1] for field in fields if field)
    sizes = tuple(int(number) for number in shape.split(",") if number.strip())
    return sizes, fortran_order == "True", np.dtype(dtype)
