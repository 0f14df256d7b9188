"""`balance`: what it does not take, and the limits of what it takes."""

# ruff: noqa: N803 (J and G as in the papers)

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.ops import J3
from tests.ops.balance_errors import gram
from tests.ops.implementations import ALL, balance, bindings, needs_native

FUNCTIONS = [mtl.ops.balance, mtl.ops.reference.balance]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("gramian", "method", "parameters", "message"),
    [
        (np.eye(2), "mdga", {}, "method must be one of mgda, .*aligned_mtl. Received: 'mdga'"),
        (np.eye(2), "mgda", {"c": 0.4}, r"mgda takes the parameters \[\].*\['c'\]"),
        (np.eye(2), "cagrad", {"alpha": 0.4}, r"\['c'\].*\['alpha'\]"),
        (np.eye(2), "cagrad", {"c": -0.1}, "c must be from 0.0 to .*Received: -0.1"),
        (np.eye(2), "cagrad", {"c": float("nan")}, "c must be from .*Received: nan"),
        (np.eye(2), "cagrad", {"c": float("inf")}, "c must be from .*Received: inf"),
        (np.eye(2), "fairgrad", {"alpha": 0}, "alpha must be from .*Received: 0"),
        (np.eye(2), "gradvac", {"beta": 1.5}, "beta must be from 0.0 to 1.0. Received: 1.5"),
        (np.eye(2), "gradvac", {"beta": np.float32(1.5)}, "beta must be .*Received: 1.5"),
        (np.eye(2), "aligned_mtl", {"scale": "max"}, "scale must be one of .*Received: 'max'"),
        (np.eye(2), "upgrad", {"preference": [1.0]}, r"preference must have shape \[2\].*\(1,\)"),
        (np.eye(2), "upgrad", {"preference": [[1.0, 1]]}, r"preference must have shape \[2\]"),
        (np.eye(2), "gradvac", {"targets": np.eye(3)}, r"targets must have shape \[2, 2\].*3"),
        (np.eye(2), "pcgrad", {"order": [[1, 0], [0, 1]]}, r"order must have shape \[2, 1\]"),
        (np.eye(3), "pcgrad", {"order": [[1], [0]]}, r"order must have shape \[3, 2\].*\(2, 1\)"),
        (np.ones((2, 3)), "mgda", {}, r"gramian must have shape \[K, K\].*\(2, 3\)"),
        (np.ones(2), "mgda", {}, r"gramian must have shape \[K, K\].*\(2,\)"),
        (np.ones((2, 2, 2)), "mgda", {}, r"gramian must have shape \[K, K\]"),
        (np.zeros((0, 0)), "mgda", {}, "at least one task"),
        (np.eye(2, dtype=np.int32), "mgda", {}, "floating point. Received: int32"),
    ],
)
def test_bad_arguments(function, gramian, method, parameters, message):
    with pytest.raises(ValueError, match=message):
        function(gramian, method, **parameters)


@needs_native
@pytest.mark.parametrize(
    ("gramian", "method", "parameters", "message"),
    [
        (np.eye(2), "mdga", {}, 'method: expected one of mgda.*"mdga"'),
        (np.eye(2), "cagrad", {"parameter": -0.1}, "parameter: expected c from 0.*received -0.1"),
        (np.eye(2), "cagrad", {"parameter": float("nan")}, "parameter: .*nan"),
        (np.eye(2), "fairgrad", {"parameter": 0.0}, "parameter: .*alpha from 0.05"),
        (np.eye(2), "gradvac", {"parameter": 2.0}, "parameter: .*beta from 0 to 1"),
        (np.eye(2), "aligned_mtl", {"scale": "max"}, 'scale: expected min.*"max"'),
        (np.eye(2), "upgrad", {"preference": np.ones(3)}, r"preference: expected shape \[2\]"),
        (np.eye(2), "gradvac", {"targets": np.eye(3)}, "targets: expected shape"),
        (np.eye(2), "pcgrad", {"order": np.zeros((2, 2), "i")}, r"order: expected shape \[2, 1\]"),
        (np.eye(2), "pcgrad", {"order": np.zeros((2, 1), "i")}, "order: row 0.*received 0"),
        (np.ones((2, 3)), "mgda", {}, r"gramian: expected shape \[K, K\]"),
        (np.zeros((0, 0)), "mgda", {}, "1 to 64 tasks, received 0"),
        (np.eye(65), "mgda", {}, "1 to 64 tasks, received 65"),
    ],
)
def test_binding_with_bad_arguments(gramian, method, parameters, message):
    with pytest.raises(ValueError, match=message):
        bindings().balance(gramian, method, **parameters)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("method", ["pcgrad", "gradvac"])
@pytest.mark.parametrize(
    "order",
    [
        [[0, 1], [0, 2], [0, 1]],
        [[1, 1], [0, 2], [0, 1]],
        [[1, 3], [0, 2], [0, 1]],
        [[1, 2], [0, -1], [0, 1]],
    ],
)
def test_wrong_orders_are_told(implementation, method, order):
    error = ValueError if implementation == "binding" else tf.errors.InvalidArgumentError
    # The reference's check may be overtaken by the loop that fails on such numbers.
    with pytest.raises(error, match=None if implementation == "reference" else "order"):
        balance(implementation, gram(J3), method, order=np.array(order, np.int32))


@pytest.mark.parametrize("implementation", ALL)
def test_limits_of_parameters_are_allowed(implementation):
    """0 and 1 for beta, 0 for c, and the greatest c and alpha that the messages name."""
    for method, name, values in [
        ("gradvac", "beta", (0.0, 1.0)),
        ("cagrad", "c", (0.0, 1e6)),
        ("fairgrad", "alpha", (0.05, 100.0)),
    ]:
        for value in values:
            weights = balance(implementation, gram(J3), method, **{name: value})[0]
            assert np.all(np.isfinite(weights)), (method, value)
    weights = balance(implementation, gram(J3), "cagrad", c=0.0)[0]
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-9)


@pytest.mark.parametrize("implementation", ["graph", "xla"])
def test_parameters_that_are_tensors(implementation):
    for method, name, value, bad in [
        ("cagrad", "c", 0.5, -1.0),
        ("fairgrad", "alpha", 2.0, 0.0),
        ("gradvac", "beta", 0.3, 2.0),
    ]:
        compiled = tf.function(
            lambda G, x, method=method, name=name: mtl.ops.balance(G, method, **{name: x}),
            jit_compile=implementation == "xla",
            autograph=False,
        )
        G = tf.constant(gram(J3))
        expected = balance("binding", gram(J3), method, **{name: value})[0]
        weights = compiled(G, tf.constant(value, tf.float64))
        np.testing.assert_allclose(weights, expected, rtol=1e-12)
        with pytest.raises(tf.errors.InvalidArgumentError, match="parameter"):
            compiled(G, tf.constant(bad, tf.float64))
