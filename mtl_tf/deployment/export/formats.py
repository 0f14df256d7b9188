"""The formats of exported files, and their suffixes."""

import pathlib
from typing import Literal, get_args

FORMATS = ("savedmodel", "onnx", "litert")
"""Names of the formats."""

SUFFIXES = {".onnx": "onnx", ".tflite": "litert", "": "savedmodel"}
"""Formats by suffix of the file; a SavedModel is a folder without a suffix."""

Precision = Literal["float32", "float16", "int8"]
"""Of weights and computation; a SavedModel has float32."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def format_of(path: pathlib.Path) -> str:
    """Return the format of a file by its suffix.

    Raises:
        ValueError: for another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"The suffix of {path.name} is no format: use .onnx or .tflite, or give "
            f"file_format (--format), one of {list(FORMATS)}"
        )
    return SUFFIXES[path.suffix.lower()]


def format_of_existing(path: pathlib.Path) -> str:
    """Return the format of a file by its content, and where that does not tell by its suffix.

    Raises:
        ValueError: if neither is that of a format.
    """
    if path.is_dir():
        return "savedmodel"
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] == b"TFL3":
        return "litert"
    if head[:1] == b"\x08":  # the version, the first entry of ONNX
        return "onnx"
    return format_of(path)


def suffix_of(file_format: str) -> str:
    """Return the suffix of the files of a format."""
    return {name: suffix for suffix, name in SUFFIXES.items()}[file_format]
