"""GradDrop: every implementation and its gradient against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES, epsilon
from tests.helpers.ops import (
    LARGE_SHAPES,
    SMALL_SHAPES,
    dense,
    direction_error,
    grad_drop,
    grad_drop_shares,
    magnitudes,
    random_gradients,
    random_uniform,
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


def case_of(num_tasks, shapes, dtype="float32", seed=0, none=0.0):
    r = np.random.default_rng(seed)
    task_gradients = random_gradients(num_tasks, shapes, dtype, seed, none)
    leak = r.random(num_tasks, np.float32) * r.integers(0, 2, num_tasks, dtype=np.int32)
    return [task_gradients, random_uniform(task_gradients, seed), leak.astype(np.float32)]


def framework_sum(task_gradients, shares):
    """Multiply by the kept shares and add, in the dtype of the gradients."""
    sums = []
    for v, column in enumerate(zip(*task_gradients, strict=True)):
        terms = [
            tf.cast(shares[k][v], g.dtype) * tf.constant(g)
            for k, g in enumerate(column)
            if g is not None
        ]
        sums.append(tf.add_n(terms).numpy() if terms else None)
    return sums


def check(results, case, dtype):
    task_gradients = case[0]
    expected = grad_drop(*case)
    shares, margins = grad_drop_shares(*case)
    # Where P and U agree to rounding, either choice is right.
    sure = [margin > (1e-12 if dtype == "float64" else 1e-5) for margin in margins]
    scale = magnitudes(task_gradients, np.ones(len(task_gradients)))
    plain = framework_sum(task_gradients, shares)
    framework = direction_error(plain, expected, scale, sure)
    error = direction_error(results, expected, scale, sure)
    assert error <= 2 * framework + epsilon(DTYPES[dtype])
    for result, column in zip(results, zip(*task_gradients, strict=True), strict=True):
        assert all(g is None or g.dtype == result.dtype for g in column)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_truth(implementation, dtype):
    if implementation == "binding" and dtype == "float64":
        pytest.skip("not a native dtype")
    many = implementation in ("binding", "eager") and dtype != "float64"
    cases = [
        case_of(k, SMALL_SHAPES if k < 6 else [(), (33,), (1025,)], dtype, k)
        for k in ((1, 2, 3, 5, 8, 13, 64) if many else task_counts(implementation, dtype)[:2])
    ]
    cases.append(case_of(2, LARGE_SHAPES, dtype))
    for case, result in zip(cases, run(implementation, "grad_drop", *cases), strict=True):
        check(result, case, dtype)


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_several_dtypes_none_and_more_tasks_than_native_ops_take(implementation):
    parts = [case_of(3, [(17,), (), (33,)], dtype, none=0.3, seed=5) for dtype in DTYPES]
    for part in parts:
        for row in part[0]:
            row[1] = None
        part[1][1] = None
    rows = [[part[0][k][v] for v in range(3) for part in parts] for k in range(3)]
    uniform = [part[1][v] for v in range(3) for part in parts]
    many = case_of(65, [(33,), ()])
    leak = parts[0][2]
    mixed, large = run(implementation, "grad_drop", [rows, uniform, leak], many)
    for d, dtype in enumerate(DTYPES):
        check(mixed[d::4], [parts[d][0], parts[d][1], leak], dtype)
    check(large, many, "float32")


@pytest.mark.parametrize("implementation", ALL)
def test_by_hand(implementation):
    """Purity 3/4 with gradients 3 and -1: positive below U = 3/4, negative above."""
    task_gradients = [[np.full(4, 3, np.float32)], [np.full(4, -1, np.float32)]]
    uniform = [np.array([0, 0.5, 0.75, 0.9], np.float32)]
    leaks = [np.zeros(2, np.float32), np.array([0.5, 0.0], np.float32), np.ones(2, np.float32)]
    results = run(implementation, "grad_drop", *[[task_gradients, uniform, x] for x in leaks])
    np.testing.assert_array_equal(results[0][0], [3, 3, 0, -1])  # P = U keeps neither
    np.testing.assert_array_equal(results[1][0], [3, 3, 1.5, 0.5])
    np.testing.assert_array_equal(results[2][0], [2, 2, 2, 2])


@pytest.mark.parametrize("implementation", ALL)
def test_zero_for_all_is_zero(implementation):
    zeros = [[np.zeros(37, np.float32)], [-np.zeros(37, np.float32)], [None]]
    uniform = [np.linspace(0, 1, 37, endpoint=False, dtype=np.float32)]
    (result,) = run(implementation, "grad_drop", [zeros, uniform, np.full(3, 0.3, np.float32)])
    np.testing.assert_array_equal(result[0], np.zeros(37))


@pytest.mark.parametrize("implementation", ALL)
def test_agreeing_signs_are_all_kept(implementation):
    task_gradients = [[np.abs(g) for g in row] for row in random_gradients(5, [(1025,), (7,)])]
    negative = [[-g for g in row] for row in task_gradients]
    uniform, leak = random_uniform(task_gradients), np.zeros(5, np.float32)
    cases = [[g, uniform, leak] for g in (task_gradients, negative)]
    plus, minus = run(implementation, "grad_drop", *cases)
    for v, (positive, result) in enumerate(zip(plus, minus, strict=True)):
        expected = sum(row[v] for row in task_gradients)
        np.testing.assert_allclose(positive, expected, rtol=1e-6)
        some = uniform[v] > 0  # P < U is never so for U = 0
        np.testing.assert_allclose(result[some], -expected[some], rtol=1e-6)


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_one_leak_for_all_tasks(implementation):
    task_gradients, uniform, _ = case_of(3, [(65,)])
    one, three, none = run(
        implementation,
        "grad_drop",
        [task_gradients, uniform, np.float32(0.25)],
        [task_gradients, uniform, np.full(3, 0.25, np.float32)],
        [task_gradients, uniform],
    )
    np.testing.assert_array_equal(one[0], three[0])
    check(none, [task_gradients, uniform, np.zeros(3, np.float32)], "float32")


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_nan_and_infinity_pass(implementation, dtype):
    task_gradients, uniform, _ = case_of(3, [(37,), ()], dtype)
    task_gradients[0][0][[0, 20, 36]] = np.nan
    task_gradients[2][0][[1, 35]] = np.inf
    for leak in (0.0, 0.5):
        leaks = np.full(3, leak, np.float32)
        (result,) = run(implementation, "grad_drop", [task_gradients, uniform, leaks])
        assert np.flatnonzero(~np.isfinite(result[0])).tolist() == [0, 1, 20, 35, 36]
        assert np.isfinite(result[1])


@pytest.mark.parametrize("implementation", ["eager", "reference"])
def test_expectation_is_unbiased_in_sign(implementation):
    """Of uniform numbers, the share that keeps the positive gradient is the purity."""
    size = 100_000
    task_gradients = [[np.full(size, 3, np.float32)], [np.full(size, -1, np.float32)]]
    uniform = [(np.arange(size, dtype=np.float32) + 0.5) / size]
    (result,) = run(implementation, "grad_drop", [task_gradients, uniform, np.zeros(2, "f")])
    assert abs(np.mean(result[0] == 3) - 0.75) < 1e-4


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_threads_change_nothing(dtype):
    case = case_of(3, [(150_001,), (17,), (65_536,)], dtype)
    one, two, three = (bindings().grad_drop(*case, num_threads=n) for n in (1, 2, 3))
    for parts in zip(one, two, three, strict=True):
        assert len({part.tobytes() for part in parts}) == 1


@needs_native
@pytest.mark.parametrize("sizes", [(4_300_000,), (1, 4_300_003, 7, 65_537)])
def test_results_larger_than_the_caches(sizes):
    """Written past the caches where aligned; the small pieces of the same numbers are not."""
    task_gradients, uniform, leak = case_of(2, [(size,) for size in sizes])
    whole = bindings().grad_drop(task_gradients, uniform, leak, num_threads=2)
    for v, size in enumerate(sizes):
        for begin in range(0, size, 1_048_576):
            part = slice(begin, begin + 1_048_576)
            rows = [[row[v][part].copy()] for row in task_gradients]
            (piece,) = bindings().grad_drop(rows, [uniform[v][part].copy()], leak)
            np.testing.assert_array_equal(whole[v][part], piece)


@pytest.mark.parametrize("implementation", TENSORFLOW)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_what_is_kept(implementation, dtype):
    shapes = [(), (3, 5), (0,), (65,)]
    cases = []
    for num_tasks in (1, 5) if dtype == "float32" else (3,):
        task_gradients, uniform, leak = case_of(num_tasks, shapes, dtype, seed=num_tasks)
        if num_tasks > 2:
            task_gradients[1][3] = task_gradients[0][0] = None
        (upstream,) = random_gradients(1, shapes, dtype, seed=99)
        cases.append((upstream, [task_gradients], [uniform, leak]))
    results = gradients(implementation, "grad_drop", *cases)
    for (upstream, (task_gradients,), (uniform, leak)), result in zip(cases, results, strict=True):
        shares, margins = grad_drop_shares(task_gradients, uniform, leak)
        own = iter(result)
        for k, row in enumerate(task_gradients):
            for v, g in enumerate(row):
                if g is None:
                    continue
                got, u = next(own), upstream[v]
                sure = margins[v] > 1e-5
                truth = shares[k][v] * u.astype(np.float64)
                plain = (shares[k][v].astype(u.dtype) * u).astype(np.float64)
                off = np.max(np.abs(plain - truth), initial=0)
                error = np.max(np.abs(got.astype(np.float64) - truth), initial=0, where=sure)
                # `leak` is float32 whatever the gradients are.
                floor = max(epsilon(u.dtype), 6e-8) * np.max(np.abs(truth), initial=0) / 2
                assert got.dtype == g.dtype
                assert error <= 2 * off + floor


def test_no_gradient_for_the_random_numbers():
    task_gradients, uniform, leak = case_of(2, [(5,)])
    for function in (mtl.ops.grad_drop, mtl.ops.reference.grad_drop):
        number, leaks = tf.constant(uniform[0]), tf.constant(leak)
        with tf.GradientTape() as tape:
            tape.watch([number, leaks])
            (result,) = function(task_gradients, [number], leaks)
        assert tape.gradient(result, [number, leaks]) == [None, None]


def test_truth_itself():
    """The truth of this file against the paper's algorithm, element by element."""
    case = case_of(4, [(50,)])
    rows, leaks = [row[0] for row in dense(case[0])], np.float64(case[2])
    for e in range(50):
        column = [row[e] for row in rows]
        purity = 0.5 * (1 + sum(column) / sum(map(abs, column)))
        mask = [(purity > case[1][0][e]) if g > 0 else (purity < case[1][0][e]) for g in column]
        kept = [(x + (1 - x) * m) * g for x, m, g in zip(leaks, mask, column, strict=True)]
        assert abs(sum(kept) - grad_drop(*case)[0][e]) < 1e-12
