"""Terminal output without control characters: names of files and classes come from anywhere."""

import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from mtl_tf.text import shown


def printable(text: str) -> str:
    """Return a text with its control and invisible characters escaped."""
    return shown(text, keep="\n\t")


def say(text: object, error: bool = False) -> None:
    """Print a text; characters that the encoding of the stream lacks are escaped.

    In a terminal, lines that are too long for it are broken between words.

    Args:
        text: to print.
        error: print to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    escaped = printable(str(text)).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(wrapped(escaped, stream) + "\n")


def wrapped(text: str, stream: TextIO) -> str:
    """Return a text with the lines that are too long for a terminal broken between words.

    Args:
        text: lines.
        stream: to print to; if it is no terminal, the text stays as it is.
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    """Return a line broken between words, its parts indented as its beginning is."""
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


@contextmanager
def printable_warnings() -> Iterator[None]:
    """Print warnings inside the context with `printable` text."""
    original = warnings.formatwarning

    def printable_warning(*args: Any, **kwargs: Any) -> str:
        return wrapped(printable(original(*args, **kwargs)), sys.stderr)

    warnings.formatwarning = printable_warning
    try:
        yield
    finally:
        warnings.formatwarning = original
