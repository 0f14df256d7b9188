"""Python functions inside `tf.data`, with readable errors and a safe exit of the interpreter.

TensorFlow's threads continue after the main program has ended. A thread that calls Python then
blocks, and the process never ends (tensorflow#21277, #22632). Every function of a pipeline is
therefore called through a gate that closes when the interpreter exits: new calls are refused, and
the exit waits for running calls.
"""

import atexit
import functools
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mtl_tf.graph_errors import encode_error, require_text, store_exception

_MAX_WAIT_S = 10.0
_POLLS, _POLL_S = 10, 0.01  # a call may have read the gate as open, but not have entered yet


class _Gate:
    """Context manager of running calls that refuses new ones after `close`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = self._entered = 0

    @functools.cached_property
    def _is_open(self) -> tf.Tensor:
        """Resource that graphs read; not a `tf.Variable`, which strategies would replicate."""
        with tf.init_scope(), tf.device("CPU:0"):
            handle = tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name="mtl_tf_gate")
            tf.raw_ops.AssignVariableOp(resource=handle, value=True)
        return handle

    def is_open(self) -> tf.Tensor:
        """Return a bool scalar that is read when the graph runs."""
        return tf.raw_ops.ReadVariableOp(resource=self._is_open, dtype=tf.bool)

    def __enter__(self) -> None:
        with self._changed:
            self._running += 1
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse new calls and wait for the running ones."""
        if "_is_open" not in self.__dict__:  # there is no pipeline
            return
        tf.raw_ops.AssignVariableOp(resource=self._is_open, value=False)
        closed = time.monotonic()
        with self._changed:
            entered, idle = self._entered, 0
            while idle < _POLLS:  # not seconds: all threads may be suspended together
                if time.monotonic() - closed > _MAX_WAIT_S:
                    warnings.warn(
                        f"A function of a data set has not returned {_MAX_WAIT_S:g} s after "
                        "the program ended: the process may not end by itself",
                        stacklevel=2,
                    )
                    return
                self._changed.wait(_POLL_S)
                is_idle = not self._running and self._entered == entered
                entered, idle = self._entered, idle + 1 if is_idle else 0


_gate = _Gate()
atexit.register(_gate.close)


def python_call(
    function: Callable[..., Sequence[Any]], inputs: Sequence[tf.Tensor], dtypes: Sequence[tf.DType]
) -> list[tf.Tensor]:
    """Call a Python function inside a `tf.data` pipeline.

    Args:
        function: function from NumPy arrays to a sequence of arrays, one for each of `dtypes`.
        inputs: arguments of the function.
        dtypes: dtypes of the results.

    Returns:
        The results, of unknown shape. An exception of the function becomes a
        `tf.errors.InvalidArgumentError` with its description, which `mtl_tf.graph_errors` converts
        back.
    """
    empty = [np.zeros([0], tf.as_dtype(dtype).as_numpy_dtype) for dtype in dtypes]

    def guarded(*arrays: np.ndarray) -> list[Any]:
        with _gate:
            try:
                return [b"", *function(*arrays)]
            except BaseException as error:  # must not propagate into TensorFlow's thread
                return [store_exception(error).encode(errors="backslashreplace"), *empty]

    def call() -> list[tf.Tensor]:
        return list(tf.numpy_function(guarded, list(inputs), [tf.string, *dtypes], stateful=True))

    def refuse() -> list[tf.Tensor]:
        text = encode_error(RuntimeError, "the program has ended")
        return [tf.constant(text), *map(tf.constant, empty)]

    text, *results = tf.cond(_gate.is_open(), call, refuse)
    with tf.control_dependencies([require_text(tf.equal(text, ""), text)]):
        return [tf.identity(result) for result in results]
