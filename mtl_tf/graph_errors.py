"""Errors found inside TensorFlow graphs, raised as the Python errors they are.

A graph can only fail with `tf.errors.InvalidArgumentError` and a text of many lines. `require`
makes it fail with a text that `as_python_errors` reads.
"""

import contextlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_KEPT = 16  # exceptions that wait to be raised again
_PATTERN = re.compile(  # as the runtime of graphs writes it, or Python when run eagerly
    r"""(?:\[["']?|b["'])\w+<(?P<number>\d+)>: (?P<text>.*?)<end>["']?\]?(?P<values>.*)""",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_exceptions: dict[int, BaseException] = {}
_numbers = itertools.count(1)


def described(error: BaseException) -> str:
    """The text of an exception for `require`; the exception itself is kept to be raised again."""
    number = next(_numbers)
    _exceptions[number] = error
    for old in list(_exceptions)[:-_KEPT]:
        _exceptions.pop(old, None)
    return marked(type(error), error, number)


def marked(error: type[BaseException], text: object, number: int = 0) -> str:
    """A text that `as_python_errors` finds in the message of a graph that failed with it.

    Args:
        error: the class to raise.
        text: of the error. Names of files in it may hold anything.
        number: of the exception that is kept; 0 for none.
    """
    return f"{error.__name__}<{number}>: {text}<end>"


def require_text(condition: tf.Tensor, text: Any) -> Any:
    """An operation that fails with a text from `described`, a string tensor."""
    return tf.debugging.Assert(condition, [text])


def require(condition: tf.Tensor, error: type[Exception], text: str, *numbers: tf.Tensor) -> Any:
    """An operation that fails with an error where `condition` is false.

    Args:
        condition: bool scalar.
        error: the class to raise, `ValueError`.
        text: with `{}` for each of the numbers.
        *numbers: scalars.

    Returns:
        The operation, for `tf.control_dependencies`; `None` when run eagerly.
    """
    return tf.debugging.Assert(condition, [marked(error, text), *numbers])


@contextlib.contextmanager
def as_python_errors() -> Iterator[None]:
    """Raises what `require` found inside a graph as the Python error it is."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        original = _original(str(error.message))
        if original is None:
            raise
        raise original from None


def _original(message: str) -> BaseException | None:
    found = _PATTERN.search(message)
    if found is None:
        return None
    stored = _exceptions.pop(int(found["number"]), None)
    if stored is not None:
        return stored
    text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), found["text"])
    values = iter(re.findall(r"[^\[\]\s]+", found["values"]))
    return ValueError(re.sub(r"\{\}", lambda m: next(values, "?"), text))
