"""The ways in which an op can run, on and from NumPy arrays."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops import _library

STATUS = mtl.ops.native_status()
needs_native = pytest.mark.skipif(not STATUS.available, reason=STATUS.reason or "native")
TENSORFLOW = ("eager", "graph", "xla", "reference")
ALL = ("binding", *TENSORFLOW) if STATUS.available else ("reference", "graph")


def task_counts(implementation, dtype):
    """K of the comparisons with the truth: every path of the kernels, fewer where compiled."""
    if dtype == "float64":
        return (3, 7) if implementation in ("eager", "reference") else (2,)
    if implementation in ("graph", "xla"):
        return (1, 4, 5, 9, 20)
    return (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 20, 32, 64)


def bindings():
    return _library._bindings()


def _arrays(value):
    """NumPy arrays of any nest of tensors and `None`."""
    if isinstance(value, list | tuple):
        return [_arrays(part) for part in value]
    return np.asarray(value.numpy()) if tf.is_tensor(value) else value


def wrap(implementation, function):
    if implementation in ("eager", "reference"):
        return function
    return tf.function(function, jit_compile=implementation == "xla", autograph=False)


def run(implementation, op, *cases):
    """`op(*case)` for every case, all in one `tf.function` where there is one."""
    if implementation == "binding":
        return [_arrays(getattr(bindings(), op)(*case)) for case in cases]
    function = getattr(mtl.ops.reference if implementation == "reference" else mtl.ops, op)
    tensors = tf.nest.map_structure(_tensor, [list(case) for case in cases])
    together = wrap(implementation, lambda cases: [function(*case) for case in cases])
    return _arrays(together(tensors))


def _tensor(value):
    return None if value is None else tf.constant(value)


def gradients(implementation, op, *cases):
    """For every case `(upstream, sources, arguments)`: the gradients of all present sources.

    `sources` are the first arguments of the op, `upstream` has the structure of its result.
    """
    function = getattr(mtl.ops.reference if implementation == "reference" else mtl.ops, op)

    def one(upstream, sources, arguments):
        present = [t for t in tf.nest.flatten(sources) if t is not None]
        with tf.GradientTape() as tape:
            tape.watch(present)
            results = tf.nest.flatten(function(*sources, *arguments))
            pairs = zip(tf.nest.flatten(upstream), results, strict=True)
            value = tf.add_n(
                [
                    tf.reduce_sum(tf.cast(u, tf.float64) * tf.cast(x, tf.float64))
                    for u, x in pairs
                    if u is not None
                ]
            )
        return tape.gradient(value, present)

    tensors = tf.nest.map_structure(_tensor, [list(case) for case in cases])
    together = wrap(implementation, lambda cases: [one(*case) for case in cases])
    return _arrays(together(tensors))


_PARAMETER = {"cagrad": ("c", 0.4), "fairgrad": ("alpha", 1.0), "gradvac": ("beta", 0.5)}


def balance(implementation, gramian, method, **parameters):
    """`(weights, status, residual, targets)`; functions are traced once per method, for any K."""
    if implementation == "binding":
        name, default = _PARAMETER.get(method, ("", 1.0))
        parameter = parameters.pop(name, default)
        return bindings().balance(gramian, method, parameter=parameter, **parameters)
    fixed = {k: v for k, v in parameters.items() if not isinstance(v, np.ndarray)}
    arrays = {k: v for k, v in parameters.items() if isinstance(v, np.ndarray)}
    key = (implementation, method, tuple(fixed.items()), tuple(arrays))
    report = _balance_function(*key)(tf.constant(gramian), *map(tf.constant, arrays.values()))
    return _arrays(tuple(report))


@functools.cache
def _balance_function(implementation, method, fixed, names):
    ops = mtl.ops.reference if implementation == "reference" else mtl.ops

    def solve(gramian, *arrays):
        parameters = {**dict(fixed), **dict(zip(names, arrays, strict=True))}
        return ops.balance_report(gramian, method, **parameters)

    if implementation == "eager":
        return solve
    ranks = {"preference": 1, "order": 2, "targets": 2}
    specs = [
        tf.TensorSpec([None] * ranks[name], tf.int32 if name == "order" else tf.float64)
        for name in names
    ]
    signature = [tf.TensorSpec([None, None], tf.float64), *specs]
    return tf.function(
        solve,
        input_signature=None if implementation == "xla" else signature,
        jit_compile=implementation == "xla",
        autograph=False,
    )
