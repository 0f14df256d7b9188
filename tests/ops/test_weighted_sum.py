"""The weighted sum: every implementation and its gradients against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES, epsilon
from tests.helpers.ops import (
    LARGE_SHAPES,
    SMALL_SHAPES,
    direction_error,
    magnitudes,
    random_gradients,
    weighted_sum,
)
from tests.ops.implementations import (
    ALL,
    TENSORFLOW,
    bindings,
    gradients,
    needs_native,
    run,
    task_counts,
)


def random_weights(num_tasks, seed=0):
    return np.random.default_rng(seed).standard_normal(num_tasks)


def framework_sum(task_gradients, weights):
    """The plain way: multiply and add in the gradients' dtype."""
    sums = []
    for column in zip(*task_gradients, strict=True):
        terms = [
            tf.cast(w, g.dtype) * tf.constant(g)
            for w, g in zip(weights, column, strict=True)
            if g is not None
        ]
        sums.append(tf.add_n(terms).numpy() if terms else None)
    return sums


def check(results, task_gradients, weights, dtype):
    expected, scale = weighted_sum(task_gradients, weights), magnitudes(task_gradients, weights)
    framework = direction_error(framework_sum(task_gradients, weights), expected, scale)
    error = direction_error(results, expected, scale)
    assert error <= 2 * framework + epsilon(DTYPES[dtype])
    for result, column in zip(results, zip(*task_gradients, strict=True), strict=True):
        assert all(g is None or g.dtype == result.dtype for g in column)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_truth(implementation, dtype):
    if implementation == "binding" and dtype == "float64":
        pytest.skip("not a native dtype")
    cases = []
    for k in task_counts(implementation, dtype):
        shapes = SMALL_SHAPES if k < 9 else [(), (33,), (1025,)]
        cases.append([random_gradients(k, shapes, dtype, k), random_weights(k, k)])
    cases.append([random_gradients(2, LARGE_SHAPES, dtype), random_weights(2)])
    cases.append([random_gradients(9, LARGE_SHAPES[:3], dtype), random_weights(9)])
    for case, result in zip(cases, run(implementation, "weighted_sum", *cases), strict=True):
        check(result, *case, dtype)


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_more_tasks_than_native_ops_take(implementation):
    case = [random_gradients(65, [(33,), ()]), random_weights(65)]
    (result,) = run(implementation, "weighted_sum", case)
    check(result, *case, "float32")


@pytest.mark.parametrize("implementation", ALL)
def test_none_is_zero_and_stays_none_where_all_are(implementation):
    task_gradients = random_gradients(4, [(3, 5), (17,), (65,), (2,), ()], none=0.5, seed=3)
    for row in task_gradients:
        row[1] = None
    task_gradients.append([None] * 5)  # a task without any gradient
    weights = random_weights(5)
    (result,) = run(implementation, "weighted_sum", [task_gradients, weights])
    assert result[1] is None
    check(result, task_gradients, weights, "float32")


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_several_dtypes_in_one_call(implementation):
    parts = [random_gradients(3, [(17,), ()], dtype, none=0.2) for dtype in DTYPES]
    # Alternating, so that results have to find their way back to their places.
    rows = [[part[k][v] for v in range(2) for part in parts] for k in range(3)]
    weights = random_weights(3)
    (result,) = run(implementation, "weighted_sum", [rows, weights])
    for d, dtype in enumerate(DTYPES):
        check(result[d::4], [row[d::4] for row in rows], weights, dtype)


@pytest.mark.parametrize("implementation", ["eager", "reference"])
def test_float64_keeps_the_digits_of_weights(implementation):
    ones = np.ones(2)
    for weights in ([0.1, 0.7], np.array([0.1, 0.7])):
        function = (
            mtl.ops.weighted_sum if implementation == "eager" else (mtl.ops.reference.weighted_sum)
        )
        (result,) = function([[ones], [ones]], weights)
        np.testing.assert_allclose(result, [0.8, 0.8], rtol=1e-15)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_nan_and_infinity_pass(implementation, dtype):
    case = random_gradients(2, [(37,), (0,), ()], dtype)
    case[0][0][[0, 20, 36]] = np.nan
    case[1][0][[1, 35]] = np.inf
    good, zero = run(implementation, "weighted_sum", [case, np.ones(2)], [case, np.zeros(2)])
    assert np.flatnonzero(~np.isfinite(good[0])).tolist() == [0, 1, 20, 35, 36]
    assert np.flatnonzero(np.isnan(zero[0])).tolist() == [0, 1, 20, 35, 36]  # 0 inf is NaN
    (result,) = run(implementation, "weighted_sum", [case, np.array([np.nan, 1])])
    assert np.all(np.isnan(result[0]))
    assert np.isnan(result[2])


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("num_tasks", [2, 9])
def test_threads_change_nothing(dtype, num_tasks):
    case = random_gradients(num_tasks, [(150_001,), (17,), (65_536,)], dtype)
    weights = random_weights(num_tasks)
    one, two, three = (bindings().weighted_sum(case, weights, n) for n in (1, 2, 3))
    for parts in zip(one, two, three, strict=True):
        assert len({part.tobytes() for part in parts}) == 1


@needs_native
@pytest.mark.parametrize("sizes", [(4_300_000,), (1, 4_300_003, 7, 65_537)])
def test_results_larger_than_the_caches(sizes):
    """Written past the caches where aligned; tensors need not be."""
    case = random_gradients(2, [(size,) for size in sizes])
    weights = np.array([0.3, -1.7])
    results = bindings().weighted_sum(case, weights, num_threads=2)
    for result, a, b in zip(results, *case, strict=True):
        expected = np.float32(0.3) * a + np.float32(-1.7) * b
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", TENSORFLOW)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_the_truth(implementation, dtype):
    shapes = [(), (3, 5), (0,), (65,)]
    cases = []
    for num_tasks in (1, 3, 9) if dtype == "float32" else (3,):
        task_gradients = random_gradients(num_tasks, shapes, dtype, seed=num_tasks)
        if num_tasks > 2:
            task_gradients[1][3] = task_gradients[0][0] = None
        (upstream,) = random_gradients(1, shapes, dtype, seed=99)
        cases.append((upstream, [task_gradients, random_weights(num_tasks)], []))
    results = gradients(implementation, "weighted_sum", *cases)
    for (upstream, (task_gradients, weights), _), result in zip(cases, results, strict=True):
        own = iter(result)
        for w, row in zip(weights, task_gradients, strict=True):
            for u, g in zip(upstream, row, strict=True):
                if g is None:
                    continue
                got, truth = next(own), w * u.astype(np.float64)
                framework = np.asarray(w).astype(u.dtype) * u
                off = np.max(np.abs(framework.astype(np.float64) - truth), initial=0)
                error = np.max(np.abs(got.astype(np.float64) - truth), initial=0)
                assert got.dtype == g.dtype
                assert error <= 2 * off + epsilon(u.dtype) * np.max(np.abs(truth), initial=0) / 2
        of_weights = next(own)
        for k, row in enumerate(task_gradients):
            pairs = [
                (u.astype(np.float64), g.astype(np.float64))
                for u, g in zip(upstream, row, strict=True)
                if g is not None
            ]
            truth = sum(np.sum(u * g) for u, g in pairs)
            unit = np.sqrt(
                sum(np.sum(u**2) for u, _ in pairs) * sum(np.sum(g**2) for _, g in pairs)
            )
            # The framework adds a float32 (and float64) tensor; nothing is rounded to 16 bits.
            assert abs(of_weights[k] - truth) <= (1e-14 if dtype == "float64" else 1e-6) * unit


@pytest.mark.parametrize("num_tasks", [63, 64, 65])
def test_gradients_with_the_most_tasks(num_tasks):
    task_gradients = random_gradients(num_tasks, [(7,)])
    weights = random_weights(num_tasks)
    case = ([np.ones(7, np.float32)], [task_gradients, weights], [])
    (result,) = gradients("eager", "weighted_sum", case)
    expected = [np.sum(np.float64(row[0])) for row in task_gradients]
    np.testing.assert_allclose(result[-1], expected, atol=1e-5)


def test_second_derivative():
    """`d/dw |Σ w_k g_k|² = 2 G w`, and its derivative is the Gramian."""
    task_gradients = [[tf.constant(g) for g in row] for row in random_gradients(3, [(17,), ()])]
    weights = tf.constant(random_weights(3))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(weights)
        with tf.GradientTape() as inner:
            inner.watch(weights)
            total = mtl.ops.weighted_sum(task_gradients, weights)
            square = tf.add_n([tf.reduce_sum(d * d) for d in total])
        slope = inner.gradient(square, weights)
    result = outer.jacobian(slope, weights, experimental_use_pfor=False)
    np.testing.assert_allclose(result, 2 * mtl.ops.gramian(task_gradients), rtol=1e-5)
