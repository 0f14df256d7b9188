"""What every gradient op and every implementation says of wrong arguments."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES
from tests.helpers.ops import random_order
from tests.ops.implementations import TENSORFLOW, bindings, needs_native, run

OPS = ("gramian", "weighted_sum", "gradient_projection", "grad_drop")
ONES = np.ones(2, np.float32)
SHAPE_OR_RUN = (ValueError, tf.errors.InvalidArgumentError)


def arguments(op, num_tasks, num_tensors=1):
    """Right further arguments of an op."""
    return {
        "gramian": [],
        "weighted_sum": [np.ones(num_tasks)],
        "gradient_projection": [random_order(max(num_tasks, 1))],
        "grad_drop": [[np.full(2, 0.5, np.float32)] * num_tensors, np.zeros(num_tasks, np.float32)],
    }[op]


@pytest.mark.parametrize("implementation", TENSORFLOW)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([], r"at least one task.*empty"),
        ([[ONES], []], r"lists of lengths \[1, 0\]"),
        ([[ONES], [np.ones(3, np.float32)]], r"one shape.*\(2,\), \(3,\)"),
        ([[ONES], [np.ones((1, 2), np.float32)]], "one shape"),
        ([[ONES], [np.ones(2, np.float16)]], "dtype.*float32.*float16"),
        ([[np.ones(2, np.int32)], [np.ones(2, np.int32)]], "floating-point.*int32"),
        ([[None], [np.ones(2, np.int64)]], "floating-point.*int64"),
    ],
)
def test_bad_gradients(implementation, op, gradients, message):
    with pytest.raises(ValueError, match=message):
        run(implementation, op, [gradients, *arguments(op, len(gradients))])


@needs_native
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([], "tasks, received 0"),
        ([[ONES]] * 65, "tasks, received 65"),
        ([[np.ones(2)]], "float64"),
        ([[np.ones(2, np.int32)]], "int32"),
        ([[ONES], [np.ones(3, "f")]], "one shape for tensor 0"),
        ([[ONES], [np.ones(2, np.float16)]], "one dtype"),
        ([[np.ones((2, 2), "f")[:, ::2]]], "contiguous"),
        ([[np.frombuffer(bytearray(9), "f", 2, 1)]], "aligned"),
        ([[ONES], []], "expected 1 tensors.*received 0 for task 1"),
    ],
)
def test_binding_with_bad_gradients(op, gradients, message):
    with pytest.raises(ValueError, match=message):
        getattr(bindings(), op)(gradients, *arguments(op, len(gradients)))


@needs_native
@pytest.mark.parametrize("op", OPS)
def test_binding_needs_one_shape_for_all_tasks(op):
    gradients = [[np.ones((2, 1), "f")], [np.ones((1, 2), "f")]]
    with pytest.raises(ValueError, match="shape"):
        getattr(bindings(), op)(gradients, *arguments(op, 2))


@needs_native
@pytest.mark.parametrize("op", OPS)
def test_binding_needs_a_thread(op):
    with pytest.raises(ValueError, match=r"num_threads.*received 0"):
        getattr(bindings(), op)([[ONES]], *arguments(op, 1), num_threads=0)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shapes", [[(2,), (3,)], [(2, 3), (3, 2)]])
def test_shapes_that_differ_at_run_time(op, jit_compile, shapes):
    spec = tf.TensorSpec([None] * len(shapes[0]), tf.float32)
    function = getattr(mtl.ops, op)

    @tf.function(input_signature=[spec, spec], jit_compile=jit_compile)
    def call(a, b):
        extra = arguments(op, 2)
        if op == "grad_drop":
            extra[0] = [tf.fill(tf.shape(a), 0.5)]
        return function([[a], [b]], *extra)

    good = tf.ones(shapes[0])
    tf.nest.map_structure(np.asarray, call(good, good))
    with pytest.raises(SHAPE_OR_RUN):
        call(good, tf.ones(shapes[1]))


@pytest.mark.parametrize("implementation", ["eager", "xla", "reference"])
@pytest.mark.parametrize(
    ("op", "extra", "message"),
    [
        ("weighted_sum", [np.ones(3)], r"weights must have shape \[2\].*\(3,\)"),
        ("weighted_sum", [np.ones((2, 1))], r"weights must have shape \[2\]"),
        ("weighted_sum", [np.ones(())], r"weights must have shape \[2\]"),
        ("gradient_projection", [np.zeros((2, 2), np.int32)], r"order must have shape \[2, 1\]"),
        ("gradient_projection", [np.zeros((3, 1), np.int32)], r"order must have shape \[2, 1\]"),
        ("grad_drop", [[], np.zeros(2, "f")], "uniform must hold 1 tensors.*0"),
        ("grad_drop", [[ONES, ONES], np.zeros(2, "f")], "uniform must hold 1 tensors.*2"),
        ("grad_drop", [[np.ones(3, "f")], np.zeros(2, "f")], r"uniform\[0\].*\(2,\).*\(3,\)"),
        ("grad_drop", [[None], np.zeros(2, "f")], r"uniform\[0\].*None"),
        ("grad_drop", [[ONES], np.zeros(3, "f")], r"leak must have shape \[2\].*\(3,\)"),
    ],
)
def test_bad_further_arguments(implementation, op, extra, message):
    with pytest.raises(ValueError, match=message):
        run(implementation, op, [[[ONES], [ONES]], *extra])


@needs_native
@pytest.mark.parametrize(
    ("op", "extra", "message"),
    [
        ("weighted_sum", [np.ones(3)], r"weights: expected shape \[2\]"),
        ("weighted_sum", [np.ones((2, 1))], r"weights: expected shape \[2\]"),
        ("gradient_projection", [np.zeros((2, 2), np.int32)], r"order: expected shape \[2, 1\]"),
        ("gradient_projection", [np.zeros((2, 1), np.int32)], "order: row 0.*received 0"),
        ("grad_drop", [[], np.zeros(2, "f")], "uniform: expected 1 arrays, received 0"),
        ("grad_drop", [[np.ones(3, "f")], np.zeros(2, "f")], "uniform: expected 2 elements"),
        ("grad_drop", [[None], np.zeros(2, "f")], "uniform: expected 2 elements"),
        ("grad_drop", [[ONES], np.zeros(3, "f")], r"leak: expected shape \[2\]"),
    ],
)
def test_binding_with_bad_further_arguments(op, extra, message):
    with pytest.raises(ValueError, match=message):
        getattr(bindings(), op)([[ONES], [ONES]], *extra)


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_weights_are_cast(dtype):
    ones = tf.ones([2], DTYPES[dtype])
    (total,) = mtl.ops.weighted_sum([[ones], [ones]], [2, 3])
    np.testing.assert_array_equal(total, [5, 5])
