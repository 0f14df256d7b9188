"""Python functions inside `tf.data`: their errors, and their end before the interpreter's.

TensorFlow's threads go on after the main program has ended. One that asks for Python then never
comes back, and the process waits for it for ever (tensorflow#21277, #22632). So every function of a
pipeline is called through a gate, which closes when the interpreter is about to exit: no call is
let in any more, and the exit waits for those inside.
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

from mtl_tf.graph_errors import described, marked, require_text

_LONGEST_WAIT_S = 10.0
_LOOKS, _LOOK_S = 10, 0.01  # a call may be between TensorFlow's look at the gate and its entry


class _Gate:
    """Lets Python functions in until it is closed, and knows how many are inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = self._entered = 0

    @functools.cached_property
    def _is_open(self) -> Any:
        """A resource that graphs read; no `tf.Variable`, which strategies would copy."""
        with tf.init_scope(), tf.device("CPU:0"):
            handle = tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name="mtl_tf_gate")
            tf.raw_ops.AssignVariableOp(resource=handle, value=True)
        return handle

    def is_open(self) -> tf.Tensor:
        """Bool scalar, read when the graph runs."""
        return tf.raw_ops.ReadVariableOp(resource=self._is_open, dtype=tf.bool)

    def __enter__(self) -> None:
        with self._changed:
            self._inside += 1
            self._entered += 1

    def __exit__(self, *_: Any) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Lets nobody in any more and waits until all have left."""
        if "_is_open" not in self.__dict__:  # there is no pipeline
            return
        tf.raw_ops.AssignVariableOp(resource=self._is_open, value=False)
        closed = time.monotonic()
        with self._changed:
            entered, quiet = self._entered, 0
            while quiet < _LOOKS:  # looks, not seconds: all threads may be held up together
                if time.monotonic() - closed > _LONGEST_WAIT_S:
                    warnings.warn(
                        f"A function of a data set has not returned {_LONGEST_WAIT_S:g} s after "
                        "the program ended: the process may not end by itself",
                        stacklevel=2,
                    )
                    return
                self._changed.wait(_LOOK_S)
                is_quiet = not self._inside and self._entered == entered
                entered, quiet = self._entered, quiet + 1 if is_quiet else 0


_gate = _Gate()
atexit.register(_gate.close)


def python_call(
    function: Callable[..., Sequence[Any]], inputs: Sequence[Any], dtypes: Sequence[Any]
) -> list[tf.Tensor]:
    """Calls a Python function inside a `tf.data` pipeline.

    Args:
        function: from NumPy arrays to a sequence of arrays, one for each of `dtypes`.
        inputs: tensors.
        dtypes: of the results.

    Returns:
        The results, of unknown shape. What the function raises becomes a
        `tf.errors.InvalidArgumentError` that names it, which `mtl_tf.graph_errors` turns back.
    """
    nothing = [np.zeros([0], tf.as_dtype(dtype).as_numpy_dtype) for dtype in dtypes]

    def guarded(*arrays: Any) -> list[Any]:
        with _gate:
            try:
                return [b"", *function(*arrays)]
            except BaseException as error:  # it must not leave TensorFlow's thread another way
                return [described(error).encode(errors="backslashreplace"), *nothing]

    def call() -> list[tf.Tensor]:
        return list(tf.numpy_function(guarded, list(inputs), [tf.string, *dtypes], stateful=True))

    def refuse() -> list[tf.Tensor]:
        text = marked(RuntimeError, "the program has ended")
        return [tf.constant(text), *map(tf.constant, nothing)]

    text, *results = tf.cond(_gate.is_open(), call, refuse)
    with tf.control_dependencies([require_text(tf.equal(text, ""), text)]):
        return [tf.identity(result) for result in results]
