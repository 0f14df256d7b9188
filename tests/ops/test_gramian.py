"""The Gramian: every implementation against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES, epsilon
from tests.helpers.ops import (
    LARGE_SHAPES,
    SMALL_SHAPES,
    gramian,
    jacobian,
    random_gradients,
    relative_error,
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


def framework_error(gradients, expected):
    """What one `tf.matmul` in float32 gets."""
    J = tf.constant(jacobian(gradients), tf.float32)
    return relative_error(tf.matmul(J, J, transpose_b=True), expected)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_truth(implementation, dtype):
    if implementation == "binding" and dtype == "float64":
        pytest.skip("not a native dtype")
    cases = [
        random_gradients(k, SMALL_SHAPES if k < 9 else [(), (33,), (1025,)], dtype, seed=k)
        for k in task_counts(implementation, dtype)
    ]
    cases += [random_gradients(2, LARGE_SHAPES, dtype), random_gradients(5, [(70_001,)], dtype)]
    bound = 1e-12 if dtype == "float64" else 1e-6
    results = run(implementation, "gramian", *[[c] for c in cases])
    for case, result in zip(cases, results, strict=True):
        expected = gramian(case)
        error = relative_error(result, expected)
        assert result.dtype == np.float64
        assert error <= min(bound, 2 * framework_error(case, expected) + 2e-7)
        np.testing.assert_array_equal(result, result.T)


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_more_tasks_than_native_ops_take(implementation):
    case = random_gradients(65, [(33,), ()])
    (result,) = run(implementation, "gramian", [case])
    assert relative_error(result, gramian(case)) < 1e-6


@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_none_and_several_dtypes_in_one_call(implementation):
    case = random_gradients(4, [(3, 5), (17,)], none=0.3, seed=1)
    for dtype in ("float16", "bfloat16", "float64"):
        more = random_gradients(4, [(65,), (), (0,)], dtype, none=0.4, seed=2)
        case = [[*row, *extra] for row, extra in zip(case, more, strict=True)]
    empty = [[None, None], [None, None]]
    no_tensors = [[], [], []]
    result, zero, nothing = run(implementation, "gramian", [case], [empty], [no_tensors])
    assert relative_error(result, gramian(case)) < 1e-6
    np.testing.assert_array_equal(zero, np.zeros((2, 2)))
    np.testing.assert_array_equal(nothing, np.zeros((3, 3)))


@pytest.mark.parametrize("implementation", ALL)
def test_all_empty_tensors_give_zero(implementation):
    case = random_gradients(3, [(0,), (4, 0)])
    (result,) = run(implementation, "gramian", [case])
    np.testing.assert_array_equal(result, np.zeros((3, 3)))


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_pass(implementation, dtype, bad):
    cases = []
    for position in (0, 20, 36):
        case = random_gradients(3, [(37,)], dtype)
        case[1][0][position] = bad
        cases.append([case])
    for result in run(implementation, "gramian", *cases):
        assert not np.any(np.isfinite(result[1]))
        assert np.all(np.isfinite(result[::2, ::2]))


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("num_tasks", [2, 5, 9, 20])
def test_none_takes_no_part(implementation, num_tasks):
    """Zero times infinity is no number, but nothing times infinity is nothing."""
    case = random_gradients(num_tasks, [(37,), (5,)])
    case[0][0][3] = np.inf
    case[1][0] = None
    case[-1][0] = None
    (result,) = run(implementation, "gramian", [case])
    second = jacobian([row[1:] for row in case])
    others = [k for k in range(1, num_tasks) if case[k][0] is not None]
    assert result[0, 0] == np.inf
    assert np.all(np.isinf(result[0, others]))
    for k in {1, num_tasks - 1}:
        np.testing.assert_allclose(result[k], second @ second[k], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("implementation", ALL)
def test_float16_subnormals(implementation):
    values = np.array([2.0**-24, 3 * 2.0**-24, 2.0**-14], np.float16)
    (result,) = run(implementation, "gramian", [[[values]]])
    np.testing.assert_allclose(result[0, 0], np.sum(values.astype(np.float64) ** 2), rtol=1e-6)


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("num_tasks", [1, 2, 5, 9, 64])
def test_threads_change_nothing(dtype, num_tasks):
    shapes = [(300_001,), (17,), (65_536,)] if num_tasks < 9 else [(140_001,)]
    case = random_gradients(num_tasks, shapes, dtype)
    one, two, three = (bindings().gramian(case, num_threads=n) for n in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


def adversaries(size):
    """Rounding errors of one sign add up in these."""
    r = np.random.default_rng(0)
    random = r.standard_normal(size, np.float32)
    yield "constant", [[np.full(size, 0.1, np.float32)], [np.full(size, 0.3, np.float32)]]
    yield "positive", [[np.full(size, 0.1, np.float32)], [np.abs(random)]]
    yield "random", [[random], [np.roll(random, 1)]]
    third = size // 3
    yield "several", [[row[0][:third], row[0][third:]] for row in [[random], [np.abs(random)]]]


def exact(case):
    """Inner products without a float64 copy of everything."""
    blocks = [slice(b, b + 2**20) for b in range(0, max(np.size(g) for g in case[0]), 2**20)]
    total = np.zeros((len(case), len(case)))
    for v in range(len(case[0])):
        for block in blocks:
            J = np.stack([np.float64(row[v][block]) for row in case])
            total += J @ J.T
    return total


def check_large(size):
    function = bindings().gramian if bindings() else mtl.ops.gramian
    for name, case in adversaries(size):
        assert relative_error(function(case), exact(case)) <= 1e-6, name


def test_four_million_elements():
    check_large(4_000_000)


@pytest.mark.slow
def test_hundred_million_elements():
    check_large(100_000_000)


@pytest.mark.parametrize("implementation", TENSORFLOW)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_the_truth(implementation, dtype):
    r = np.random.default_rng(0)
    cases = []
    for num_tasks in (1, 2, 3, 8) if dtype == "float32" else (3,):
        task_gradients = random_gradients(num_tasks, [(), (3, 5), (0,), (65,), (17,)], dtype)
        if num_tasks > 2:
            task_gradients[1][3] = task_gradients[0][0] = None
        cases.append((r.standard_normal((num_tasks, num_tasks)), [task_gradients], []))
    results = gradients(implementation, "gramian", *cases)
    for (upstream, (task_gradients,), _), result in zip(cases, results, strict=True):
        rows = [[g for g in row if g is not None] for row in task_gradients]
        J = jacobian(task_gradients)
        symmetric = upstream + upstream.T
        expected, scale = symmetric @ J, np.abs(symmetric) @ np.abs(J)
        shapes = [np.shape(g) for g in task_gradients[-1]]
        sizes = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
        position = 0
        for k, row in enumerate(task_gradients):
            truths = np.split(expected[k], sizes), np.split(scale[k], sizes)
            for g, truth, unit in zip(row, *truths, strict=True):
                if g is None:
                    continue
                own = result[position].astype(np.float64).ravel()
                assert result[position].dtype == g.dtype
                # One rounding to the dtype is what the framework's matmul leaves.
                bound = epsilon(DTYPES[dtype]) / 2 * np.abs(truth) + 3e-7 * unit
                if dtype == "float64":
                    bound = 1e-14 * unit
                assert np.all(np.abs(own - truth) <= bound)
                position += 1
        assert position == sum(len(row) for row in rows)


def test_inside_a_function_the_shape_is_known():
    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None, 4])])
    def build(a, b):
        result = mtl.ops.gramian([[a], [b]])
        assert result.shape == (2, 2)
        return result

    a, b = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(build(a, b)[0, 1], np.sum(a * b), rtol=1e-5)


def test_indexed_slices_are_gradients():
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), [2, 0], [3, 2])
    result = mtl.ops.gramian([[slices], [tf.ones([3, 2])]])
    np.testing.assert_allclose(result, [[30, 10], [10, 6]])
