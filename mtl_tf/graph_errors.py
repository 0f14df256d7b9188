"""Python exceptions out of TensorFlow graphs.

A graph can only fail with `tf.errors.InvalidArgumentError` and a message of many lines. `require`
encodes a Python exception in that message, and `as_python_errors` decodes and raises it.
"""

import contextlib
import itertools
import re
from collections.abc import Iterator

import tensorflow as tf

from mtl_tf.typing import Tensor

_MAX_STORED = 16  # exceptions stored to be raised again
_PATTERN = re.compile(  # as written by the graph runtime, or by Python in eager mode
    r"""(?:\[["']?|b["'])\w+<(?P<number>\d+)>: (?P<text>.*?)<end>["']?\]?(?P<values>.*)""",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_exceptions: dict[int, BaseException] = {}
_numbers = itertools.count(1)


def store_exception(error: BaseException) -> str:
    """Store an exception to be raised again, and return its text for `require_text`."""
    number = next(_numbers)
    _exceptions[number] = error
    for old in list(_exceptions)[:-_MAX_STORED]:
        _exceptions.pop(old, None)
    return encode_error(type(error), error, number)


def encode_error(error: type[BaseException], text: object, number: int = 0) -> str:
    """Return a text that `as_python_errors` recognises in the message of a failed graph.

    Args:
        error: exception class to raise.
        text: message of the exception; file names in it may contain any character.
        number: number of the stored exception; 0 for none.
    """
    return f"{error.__name__}<{number}>: {text}<end>"


def require_text(condition: Tensor, text: str | Tensor) -> tf.Operation | None:
    """Return an operation that fails unless `condition`, with a text of `store_exception`."""
    return tf.debugging.Assert(condition, [text])


def require(
    condition: Tensor, error: type[Exception], text: str, *numbers: Tensor
) -> tf.Operation | None:
    """Return an operation that fails with a Python exception unless `condition`.

    Args:
        condition: bool scalar.
        error: exception class to raise, `ValueError`.
        text: message, with `{}` for each of the numbers.
        *numbers: scalars.

    Returns:
        The operation, for `tf.control_dependencies`; `None` when run eagerly.
    """
    return tf.debugging.Assert(condition, [encode_error(error, text), *numbers])


@contextlib.contextmanager
def as_python_errors() -> Iterator[None]:
    """Raise the exceptions that `require` encoded inside a graph as Python exceptions."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        original = _original(str(error.message))
        if original is None:
            raise
        raise original from None


def _original(message: str) -> BaseException | None:
    match = _PATTERN.search(message)
    if match is None:
        return None
    stored = _exceptions.pop(int(match["number"]), None)
    if stored is not None:
        return stored
    text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match["text"])
    values = iter(re.findall(r"[^\[\]\s]+", match["values"]))
    return ValueError(re.sub(r"\{\}", lambda _: next(values, "?"), text))
