"""PCGrad end to end: every implementation and its gradient against the loop on vectors."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES, epsilon
from tests.helpers.ops import (
    LARGE_SHAPES,
    SMALL_SHAPES,
    direction_error,
    gradient_projection,
    jacobian,
    magnitudes,
    orders,
    random_gradients,
    random_order,
    split,
    weighted_sum,
)
from tests.ops.implementations import ALL, TENSORFLOW, bindings, gradients, needs_native, run


def case_of(num_tasks, shapes, dtype="float32", seed=0, none=0.0):
    """Gradients that conflict: their mean is taken away in part."""
    task_gradients = random_gradients(num_tasks, shapes, "float32", seed, none)
    for column in zip(*task_gradients, strict=True):
        present = [g for g in column if g is not None]
        if present:
            mean = np.mean(present, axis=0)
            for g in present:
                np.subtract(g, 0.7 * mean, out=g)
    cast = [[None if g is None else g.astype(DTYPES[dtype]) for g in row] for row in task_gradients]
    return [cast, random_order(num_tasks, seed)]


def framework_projection(task_gradients, order):
    """The textbook loop in TensorFlow, in the gradients' dtype."""
    dtype = next(g.dtype for row in task_gradients for g in row if g is not None)
    J = [tf.constant(row.astype(dtype)) for row in jacobian(task_gradients)]
    total = tf.zeros_like(J[0])
    for i, others in enumerate(order):
        v = J[i]
        for j in others:
            dot, square = tf.tensordot(v, J[j], 1), tf.tensordot(J[j], J[j], 1)
            if dot < 0 < square:
                v -= dot / square * J[j]
        total += v
    return split(total.numpy(), task_gradients)


def check(result, case, dtype, compare=True):
    directions, weights = result
    expected = gradient_projection(*case)
    scale = [np.max(m, initial=0) for m in magnitudes(case[0], weights)]
    error = direction_error(directions, expected, scale)
    framework = 0.0
    if compare:
        framework = direction_error(framework_projection(*case), expected, scale)
    floor = 1e-14 if dtype == "float64" else max(epsilon(DTYPES[dtype]) / 2, 1e-6)
    assert error <= 2 * framework + floor
    assert weights.dtype == np.float64
    own = direction_error(directions, weighted_sum(case[0], weights), scale)
    assert own <= (1e-14 if dtype == "float64" else epsilon(DTYPES[dtype]) / 2 + 1e-6)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_truth(implementation, dtype):
    if implementation == "binding" and dtype == "float64":
        pytest.skip("not a native dtype")
    few = implementation not in ("binding", "eager") and dtype != "float32"
    cases = [
        case_of(k, SMALL_SHAPES if k < 4 else [(), (33,), (1025,)], dtype, k)
        for k in ((3,) if few or dtype == "float64" else (1, 2, 3, 4, 5, 8, 13, 20))
    ]
    cases.append(case_of(2, LARGE_SHAPES, dtype))
    results = run(implementation, "gradient_projection", *cases)
    for case, result in zip(cases, results, strict=True):
        check(result, case, dtype, compare=len(case[0]) <= 5)


@pytest.mark.parametrize("implementation", ["binding", "eager"])
@pytest.mark.parametrize("num_tasks", [32, 64, 65])
def test_many_tasks(implementation, num_tasks):
    if implementation == "binding" and num_tasks > 64:
        pytest.skip("more than native ops take")
    case = case_of(num_tasks, [(200,), ()])
    (result,) = run(implementation, "gradient_projection", case)
    check(result, case, "float32", compare=False)


@pytest.mark.parametrize("implementation", ALL)
def test_every_order_of_three(implementation):
    task_gradients = case_of(3, [(5,)])[0]
    cases = [[task_gradients, order] for order in orders(3)]
    results = run(implementation, "gradient_projection", *cases)
    assert len({result[1].tobytes() for result in results}) > 1  # the order matters here
    for case, result in zip(cases, results, strict=True):
        check(result, case, "float32", compare=False)


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_none_and_several_dtypes_in_one_call(implementation):
    parts = [case_of(3, [(17,), ()], dtype, none=0.2) for dtype in DTYPES]
    rows = [[part[0][k][v] for v in range(2) for part in parts] for k in range(3)]
    halves = [row[1:3] for row in rows]
    order = random_order(3)
    mixed, half = run(implementation, "gradient_projection", [rows, order], [halves, order])
    for result, case in ((mixed, rows), (half, halves)):
        expected = gradient_projection(case, order)
        scale = [np.max(m, initial=0) for m in magnitudes(case, result[1])]
        assert direction_error(result[0], expected, scale) < 0.005
    singles = [v for v, d in enumerate(mixed[0]) if d is not None and d.dtype == np.float32]
    for v in singles:
        truth = gradient_projection(rows, order)[v]
        np.testing.assert_allclose(mixed[0][v], truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", ALL)
def test_absent_and_zero_gradients(implementation):
    a, b = np.float32([1, 2, 3]), np.float32([-1, 0, -2])
    order = random_order(3)
    cases = [
        [[[a, None], [b, None], [None, None]], order],
        [[[a, a], [0 * b, 0 * b], [b, b]], order],
        [[[None], [None], [None]], order],
        [[[a[:0]], [a[:0]], [a[:0]]], order],
    ]
    results = run(implementation, "gradient_projection", *cases)
    for case, (directions, weights) in zip(cases, results, strict=True):
        scale = [np.max(m, initial=1) for m in magnitudes(case[0], np.ones(3))]
        assert direction_error(directions, gradient_projection(*case), scale) < 1e-6
        absent = [not np.any(row) for row in jacobian(case[0])]
        np.testing.assert_array_equal(weights[absent], 0)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_pass(implementation, dtype, bad):
    case = case_of(3, [(37,), (3,)], dtype)
    case[0][1][0][36] = bad
    ((directions, weights),) = run(implementation, "gradient_projection", case)
    assert np.all(np.isnan(weights))
    assert all(np.all(np.isnan(d)) for d in directions)


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_threads_change_nothing(dtype):
    case = case_of(5, [(150_001,), (17,), (65_536,)], dtype)
    results = [bindings().gradient_projection(*case, num_threads=n) for n in (1, 2, 3)]
    assert len({weights.tobytes() for _, weights in results}) == 1
    for parts in zip(*[directions for directions, _ in results], strict=True):
        assert len({part.tobytes() for part in parts}) == 1


@pytest.mark.parametrize("implementation", TENSORFLOW)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_holds_the_weights_constant(implementation, dtype):
    shapes = [(), (3, 5), (0,), (65,)]
    cases = []
    for num_tasks in (1, 2, 3, 5) if dtype == "float32" else (3,):
        task_gradients, order = case_of(num_tasks, shapes, dtype, seed=num_tasks)
        if num_tasks > 2:
            task_gradients[1][3] = task_gradients[0][0] = None
        (upstream,) = random_gradients(1, shapes, dtype, seed=99)
        cases.append(([upstream, np.ones(num_tasks)], [task_gradients], [order]))
    results = gradients(implementation, "gradient_projection", *cases)
    plain = run("eager", "gradient_projection", *[[c[1][0], c[2][0]] for c in cases])
    for (upstreams, (task_gradients,), _), result, (_, weights) in zip(
        cases, results, plain, strict=True
    ):
        own = iter(result)
        for w, row in zip(weights, task_gradients, strict=True):
            for u, g in zip(upstreams[0], row, strict=True):
                if g is None:
                    continue
                got, truth = next(own), w * u.astype(np.float64)
                framework = (np.asarray(w).astype(u.dtype) * u).astype(np.float64)
                off = np.max(np.abs(framework - truth), initial=0)
                error = np.max(np.abs(got.astype(np.float64) - truth), initial=0)
                floor = max(epsilon(u.dtype) / 2, 1e-6 if dtype == "float32" else 0)
                assert got.dtype == g.dtype
                assert error <= 2 * off + floor * np.max(np.abs(truth), initial=0)


def bad_orders():
    good = random_order(3).tolist()
    return {
        "itself": [[0, 1], *good[1:]],
        "twice": [good[0], [2, 2], good[2]],
        "negative": [good[0], good[1], [-1, 0]],
        "too large": [[1, 3], *good[1:]],
    }


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("name", bad_orders())
def test_wrong_orders_are_told(implementation, name):
    task_gradients = case_of(3, [(5,)])[0]
    order = np.array(bad_orders()[name], np.int32)
    error = ValueError if implementation == "binding" else tf.errors.InvalidArgumentError
    with pytest.raises(error, match="order"):
        run(implementation, "gradient_projection", [task_gradients, order])


def test_one_pass_of_two_tasks_by_hand():
    (direction,), weights = mtl.ops.gradient_projection(
        [[tf.constant([1.0, 0.0])], [tf.constant([-1.0, 1.0])]], [[1], [0]]
    )
    np.testing.assert_allclose(direction, [0.5, 1.5], rtol=1e-6)
    np.testing.assert_allclose(weights, [2.0, 1.5], rtol=1e-6)
