"""Terminal output without control characters: names of files and classes come from anywhere."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtl_tf.text import shown


def printable(text: str) -> str:
    """Return a text with its control and invisible characters escaped."""
    return shown(text, keep="\n\t")


def say(text: object, error: bool = False) -> None:
    """Print a text; characters that the encoding of the stream lacks are escaped.

    Args:
        text: to print.
        error: print to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(str(text)).encode(encoding, "backslashreplace").decode(encoding) + "\n")


@contextmanager
def printable_warnings() -> Iterator[None]:
    """Print warnings inside the context with `printable` text."""
    original = warnings.formatwarning

    def printable_warning(*args: Any, **kwargs: Any) -> str:
        return printable(original(*args, **kwargs))

    warnings.formatwarning = printable_warning
    try:
        yield
    finally:
        warnings.formatwarning = original
