"""Random ranks, sizes, dtypes, `None`s and tasks: nothing crashes, everything is right."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl_tf.ops import _balance
from tests.helpers import dtypes
from tests.helpers import ops as truth
from tests.ops.implementations import ALL, balance, needs_native, run

quick = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
shapes = st.one_of(
    st.just(()),
    st.tuples(st.integers(0, 1000)),
    st.lists(st.integers(0, 9), min_size=2, max_size=4).map(tuple),
)
IMPLEMENTATION = st.sampled_from(["binding", "binding", "binding", "eager", "reference"])


@st.composite
def cases(draw):
    """`(implementation, dtype, task gradients, seed)`."""
    implementation = draw(IMPLEMENTATION)
    dtype = draw(st.sampled_from(["float32", "bfloat16", "float16"]))
    seed = draw(st.integers(0, 2**32 - 1))
    num_tasks = draw(st.integers(1, 10))
    own_shapes = draw(st.lists(shapes, max_size=4))
    none = draw(st.sampled_from([0.0, 0.2, 0.8]))
    task_gradients = truth.random_gradients(num_tasks, own_shapes, dtype, seed, none)
    return implementation, dtype, task_gradients, seed


def bound(dtype, task_gradients):
    # Three roundings in float32 are what the framework's own sum leaves at least.
    return dtypes.epsilon(dtypes.DTYPES[dtype]) + (len(task_gradients) + 2) * 6e-8


@needs_native
@quick
@given(cases())
def test_gramian(case):
    implementation, _, task_gradients, _ = case
    (result,) = run(implementation, "gramian", [task_gradients])
    assert truth.relative_error(result, truth.gramian(task_gradients)) < 1e-6
    np.testing.assert_array_equal(result, result.T)


@needs_native
@quick
@given(cases())
def test_weighted_sum(case):
    implementation, dtype, task_gradients, seed = case
    weights = np.random.default_rng(seed).standard_normal(len(task_gradients))
    (result,) = run(implementation, "weighted_sum", [task_gradients, weights])
    expected = truth.weighted_sum(task_gradients, weights)
    scale = truth.magnitudes(task_gradients, weights)
    assert truth.direction_error(result, expected, scale) <= bound(dtype, task_gradients)


@needs_native
@quick
@given(cases())
def test_gradient_projection(case):
    implementation, dtype, task_gradients, seed = case
    order = truth.random_order(len(task_gradients), seed)
    ((directions, weights),) = run(implementation, "gradient_projection", [task_gradients, order])
    expected = truth.gradient_projection(task_gradients, order)
    scale = [np.max(m, initial=1e-6) for m in truth.magnitudes(task_gradients, weights)]
    error = truth.direction_error(directions, expected, scale)
    assert error <= bound(dtype, task_gradients) + 1e-5


@needs_native
@quick
@given(cases(), st.booleans())
def test_grad_drop(case, leaks):
    implementation, dtype, task_gradients, seed = case
    r = np.random.default_rng(seed)
    leak = leaks * r.random(len(task_gradients), np.float32)
    uniform = truth.random_uniform(task_gradients, seed)
    arguments = [task_gradients, uniform, leak.astype(np.float32)]
    (result,) = run(implementation, "grad_drop", arguments)
    _, margins = truth.grad_drop_shares(*arguments)
    scale = truth.magnitudes(task_gradients, np.ones(len(task_gradients)))
    sure = [margin > 1e-5 for margin in margins]
    error = truth.direction_error(result, truth.grad_drop(*arguments), scale, sure)
    assert error <= bound(dtype, task_gradients)


METHODS = list(_balance.METHODS)


@settings(quick, max_examples=300)
@given(
    st.sampled_from(METHODS),
    st.integers(1, 10),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.integers(-12, 12),
    st.integers(0, 9),
)
def test_balance(method, num_tasks, size, seed, exponent, absent):
    """Any rank, also less than K: weights are finite, and the status tells the residual."""
    J = np.random.default_rng(seed).standard_normal((num_tasks, size)) * 10.0**exponent
    J[J[:, 0] > 10.0**exponent * 2] = 0
    if absent < num_tasks:
        J[absent] = 0
    implementation = "binding" if "binding" in ALL else "reference"
    weights, status, residual, _ = balance(implementation, J @ J.T, method)
    assert np.all(np.isfinite(weights))
    assert status in (0, 1)
    assert status == 1 or residual <= 1e-8
    np.testing.assert_array_equal(weights[~np.any(J, axis=1)], 0)
