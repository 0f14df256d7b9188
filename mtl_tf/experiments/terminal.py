"""Terminal output: names of files and classes come from anywhere and must not steer a terminal."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtl_tf.data.files import shown


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor, change its colours or hide is escaped."""
    return shown(text, keep="\n\t")


def say(text: object, error: bool = False) -> None:
    """Prints a text, also where the terminal lacks its letters.

    Args:
        text: what to print.
        error: on standard error.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(str(text)).encode(encoding, "backslashreplace").decode(encoding) + "\n")


@contextmanager
def printable_warnings() -> Iterator[None]:
    """Inside, warnings are printed as `say` prints."""
    usual = warnings.formatwarning

    def formatted(*args: Any, **kwargs: Any) -> str:
        return printable(usual(*args, **kwargs))

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual
