"""`balance`: oracle values, optimality by independent checkers, hard cases, arguments."""

# ruff: noqa: N803 (J and G as in the papers)

import functools

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.ops import BalanceStatus
from mtl_tf.ops._balance import METHODS
from tests.helpers import ops as truth
from tests.helpers.ops import J2, J3, KINDS, hard_jacobians, random_jacobian
from tests.ops.implementations import ALL, balance, bindings, needs_native

FAST = "binding" if "binding" in ALL else "reference"
NATIVE = tuple(name for name in ALL if name != "reference")
HARD = hard_jacobians()
# Nothing to solve for on these: a combination of the gradients is zero.
STATIONARY = ("opposite", "opposite, other length", "opposite and a third", "sum is zero")


def gram(J):
    return J @ J.T


def direction_error(J, weights, expected):
    """In units of what is added up."""
    scale = np.abs(weights) @ np.linalg.norm(J, axis=1) + np.linalg.norm(expected)
    return np.max(np.abs(weights @ J - expected)) / max(scale, 1e-300)


def error(J, weights, method, **parameters):
    """How far `weights` are from what `method` means, by definition; rows of `J` not zero."""
    G, num_tasks = gram(J), len(J)
    mean = parameters.get("preference", np.full(num_tasks, 1 / num_tasks))
    order = parameters.get("order", truth.ascending_order(num_tasks))
    if method == "mgda":
        norms = np.linalg.norm(J, axis=1)
        off = np.linalg.norm(weights @ J) - np.linalg.norm(truth.mgda_direction(J))
        return max(truth.mgda_residual(G, weights), off / norms.min())
    if method == "upgrad":
        return direction_error(J, weights, truth.upgrad_direction(J, mean))
    if method == "dualproj":
        own = direction_error(J, weights, truth.dualproj_direction(J, mean))
        return max(truth.dualproj_residual(G, weights, mean), own)
    if method == "cagrad":
        return truth.cagrad_gap(G, weights, parameters.get("c", 0.4))
    if method in ("nash_mtl", "fairgrad"):
        return truth.fairgrad_residual(G, weights, parameters.get("alpha", 1.0))
    if method == "imtl_g":
        return truth.imtl_g_residual(G, weights)
    if method == "aligned_mtl":
        expected = truth.aligned_mtl(J, mean, parameters.get("scale", "min"))
        return np.max(np.abs(weights - expected)) / max(np.max(np.abs(expected)), mean.max())
    if method == "pcgrad":
        return direction_error(J, weights, truth.pcgrad(J, order))
    targets = parameters.get("targets", np.zeros((num_tasks, num_tasks)))
    expected, _ = truth.gradvac(J, order, targets, parameters.get("beta", 0.5))
    return direction_error(J, weights, expected)


# === Oracle values ===

ORACLES = [
    (J2, "mgda", {}, [0.6, 0.4]),
    (J2, "cagrad", {"c": 0.4}, [0.6633, 0.5]),
    (J2, "cagrad", {"c": 0.5}, [0.70412, 0.5]),
    (J2, "imtl_g", {}, [0.59233, 0.40767]),
    (J2, "nash_mtl", {}, [0.591461, 0.407071]),
    (J2, "fairgrad", {"alpha": 1.0}, [0.591461, 0.407071]),
    (J2, "fairgrad", {"alpha": 2.0}, [0.471363, 0.319454]),
    (J2, "aligned_mtl", {}, [0.55907, 0.40826]),
    (J2, "upgrad", {}, [10 / 9, 15 / 19]),
    (J2, "dualproj", {}, [11 / 18, 0.5]),
    (J3, "mgda", {}, [0.4535, 0.35358, 0.19292]),
    (J3, "cagrad", {"c": 0.4}, [0.57761, 0.38026, 1 / 3]),
    (J3, "cagrad", {"c": 0.5}, [0.63446, 0.44393, 1 / 3]),
    (J3, "imtl_g", {}, [0.45572, 0.2941, 0.25018]),
    (J3, "nash_mtl", {}, [0.55654, 0.444712, 0.313633]),
    (J3, "fairgrad", {"alpha": 1.0}, [0.55654, 0.444712, 0.313633]),
    (J3, "fairgrad", {"alpha": 2.0}, [0.438018, 0.344775, 0.220676]),
    (J3, "aligned_mtl", {}, [0.37285, 0.31555, 0.2248]),
    (J3, "upgrad", {}, [0.583333, 0.374677, 0.410853]),
    (J3, "dualproj", {}, [1 / 3, 1 / 3, 1 / 3]),
]
ORACLE_DIRECTIONS = [
    (J2, "mgda", {}, [0, 1, 1]),
    (J2, "cagrad", {"c": 0.4}, [0.3468, 1.1633, 1.1633]),
    (J2, "cagrad", {"c": 0.5}, [0.1835, 1.20412, 1.20412]),
    (J2, "imtl_g", {}, [0.0767, 1, 1]),
    (J2, "nash_mtl", {}, [0.0766, 0.99853, 0.99853]),
    (J2, "aligned_mtl", {}, [0.21328, 0.96733, 0.96733]),
    (J2, "pcgrad", {}, [0.584795, 3.80117, 3.80117]),
    (J3, "mgda", {}, [-0.15721, 0.89087, 0.93234, -0.06766]),
    (J3, "cagrad", {"c": 0.4}, [-0.01624, 1.01202, 1.38026, 0.08905]),
    (J3, "cagrad", {"c": 0.5}, [-0.08673, 1.15755, 1.44393, 0.03221]),
    (J3, "imtl_g", {}, [-0.00738, 0.80831, 1.04464, 0.04464]),
    (J3, "nash_mtl", {}, [-0.17607, 1.0218, 1.38561, 0.07073]),
    (J3, "aligned_mtl", {}, [-0.14585, 0.67868, 0.98996, 0.07675]),
    (J3, "dualproj", {}, [-1 / 6, 0.5, 4 / 3, 1 / 3]),
]


@pytest.mark.parametrize("implementation", ALL)
def test_oracle_values(implementation):
    for J, method, parameters, expected in ORACLES:
        weights, status, residual, _ = balance(implementation, gram(J), method, **parameters)
        np.testing.assert_allclose(weights, expected, atol=6e-6, err_msg=f"{method} {parameters}")
        assert (status, residual <= 1e-8) == (BalanceStatus.CONVERGED, True)
    for J, method, parameters, expected in ORACLE_DIRECTIONS:
        weights = balance(implementation, gram(J), method, **parameters)[0]
        np.testing.assert_allclose(weights @ J, expected, atol=6e-5 if J is J2 else 1.5e-5)


@pytest.mark.parametrize(
    ("J", "c", "expected"),
    [
        (J2, 0.4, [1, 0]),
        (J3, 0.4, [0.83886, 0.16114, 0]),
        (J3, 0.5, [0.73139, 0.26861, 0]),
    ],
)
def test_oracle_of_the_simplex_problem_of_cagrad(J, c, expected):
    weights = balance(FAST, gram(J), "cagrad", c=c)[0]
    np.testing.assert_allclose(truth.cagrad_simplex(weights), expected, atol=6e-6)


def test_checkers_find_the_oracle_weights_right_and_others_wrong():
    for J, method, parameters, expected in ORACLES:
        right = balance(FAST, gram(J), method, **parameters)[0]
        assert error(J, right, method, **parameters) < 1e-9, method
        # Mean weights are DualProj's answer for J3; nothing else is insensitive to 1 %.
        wrong = right * np.linspace(1.01, 1.03, len(J))
        if method == "cagrad":
            wrong = np.maximum(wrong, 1 / len(J))
        assert error(J, wrong, method, **parameters) > 1e-4, method
        assert error(J, np.array(expected), method, **parameters) < 1e-3, method


# === Random Gramians ===

VARIANTS = [
    *[(method, {}) for method in METHODS],
    ("cagrad", {"c": 0.05}),
    ("cagrad", {"c": 0.9}),
    ("cagrad", {"c": 3.0}),
    ("fairgrad", {"alpha": 0.5}),
    ("fairgrad", {"alpha": 2.0}),
    ("fairgrad", {"alpha": 5.0}),
    ("aligned_mtl", {"scale": "median"}),
    ("aligned_mtl", {"scale": "mean"}),
]


def name_of(value):
    return value if isinstance(value, str) else "".join(f"{k}={v}" for k, v in value.items()) or "-"


@pytest.mark.parametrize(("method", "parameters"), VARIANTS, ids=name_of)
def test_random_gramians(method, parameters):
    """200, K from 2 to 20: the residual reported, and the error by definition."""
    for seed in range(200):
        num_tasks = 2 + seed % 19
        J = random_jacobian(num_tasks, seed, KINDS[seed % 3])
        weights, status, residual, _ = balance(FAST, gram(J), method, **parameters)
        what = (seed, num_tasks, KINDS[seed % 3])
        assert status == BalanceStatus.CONVERGED, what
        assert residual <= 1e-8, what
        assert error(J, weights, method, **parameters) <= 1e-7, what


@pytest.mark.parametrize("num_tasks", [1, 32, 64])
@pytest.mark.parametrize("method", METHODS)
def test_few_and_many_tasks(method, num_tasks):
    J = random_jacobian(num_tasks, 3)
    weights, status, residual, _ = balance(FAST, gram(J), method)
    assert (status, residual <= 1e-8) == (BalanceStatus.CONVERGED, True)
    assert error(J, weights, method) <= 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_more_tasks_than_native_ops_take(method):
    J = random_jacobian(65, 3)
    weights = mtl.ops.balance(gram(J), method).numpy()
    assert error(J, weights, method) <= 1e-7


@pytest.mark.parametrize("method", ["upgrad", "dualproj", "aligned_mtl"])
def test_preference(method):
    r = np.random.default_rng(0)
    for num_tasks in (1, 2, 3, 8):
        for seed in range(10):
            J = random_jacobian(num_tasks, seed, "conflict" if num_tasks > 1 else "plain")
            for preference in (r.random(num_tasks), np.eye(num_tasks)[0]):
                weights = balance(FAST, gram(J), method, preference=preference)[0]
                assert error(J, weights, method, preference=preference) <= 1e-7


@pytest.mark.parametrize("implementation", ["eager", "reference"])
def test_parameters_keep_their_digits(implementation):
    """Python numbers and lists are float64, as in the binding: 0.4 is not float32's 0.4."""
    function = mtl.ops.balance if implementation == "eager" else mtl.ops.reference.balance
    targets = [[0.0, 0.3, 0.3], [0.3, 0.0, 0.3], [0.3, 0.3, 0.0]]
    for method, parameters in [
        ("cagrad", {"c": 0.4}),
        ("fairgrad", {"alpha": 0.7}),
        ("dualproj", {"preference": [0.1, 0.2, 0.7]}),
        ("gradvac", {"targets": targets, "beta": 0.3}),
    ]:
        weights = function(gram(J3), method, **parameters).numpy()
        arrays = {k: np.array(v) if isinstance(v, list) else v for k, v in parameters.items()}
        assert error(J3, weights, method, **arrays) < 1e-11, method


@pytest.mark.parametrize("method", ["pcgrad", "gradvac"])
def test_every_order_of_projections(method):
    for seed in range(5):
        J = random_jacobian(3, seed, "conflict")
        for order in truth.orders(3):
            weights = balance(FAST, gram(J), method, order=order)[0]
            assert error(J, weights, method, order=order) < 1e-11
    for num_tasks in (1, 2, 5, 13):
        J, order = random_jacobian(num_tasks, 1), truth.random_order(num_tasks)
        weights = balance(FAST, gram(J), method, order=order)[0]
        assert error(J, weights, method, order=order) < 1e-11


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("beta", [0.0, 0.01, 0.5, 1.0])
def test_gradvac_targets_move_over_calls(implementation, beta):
    order = truth.random_order(4, 1)
    targets = expected = np.zeros((4, 4))
    for step in range(6):
        J = random_jacobian(4, step, "conflict" if step % 2 else "plain")
        weights, _, _, new_targets = balance(
            implementation, gram(J), "gradvac", beta=beta, order=order, targets=targets
        )
        direction, expected = truth.gradvac(J, order, expected, beta)
        assert direction_error(J, weights, direction) < 1e-10
        np.testing.assert_allclose(new_targets, expected, atol=1e-10)
        targets = new_targets
    assert np.any(targets) == (beta > 0)


def test_gradvac_turns_to_the_target():
    """Two tasks: afterwards the cosine of each result with the other gradient is the target."""
    targets = np.array([[0, 0.6], [0.2, 0]])
    weights = balance(FAST, gram(J2), "gradvac", beta=0.5, targets=targets)[0]
    results = []
    for i in range(2):
        only = np.where(np.arange(4).reshape(2, 2) == 2 * i + 1 - i, targets, -1)
        v, _ = truth.gradvac(J2, truth.ascending_order(2), only, 0.5)
        v = v - J2[1 - i]  # the other row stays as it is: its target is -1
        cosine = v @ J2[1 - i] / np.linalg.norm(v) / np.linalg.norm(J2[1 - i])
        assert abs(cosine - targets[i, 1 - i]) < 1e-12
        results.append(v)
    np.testing.assert_allclose(weights @ J2, sum(results), rtol=1e-12)


# === Scale ===


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("method", METHODS)
def test_scale_of_the_gradients_changes_nothing(method, scale):
    """From gradients to direction: `A(sJ) / s`; for Nash-MTL and FairGrad by their own law."""
    for alpha in (1.0, 2.0) if method == "fairgrad" else (1.0,):
        power = {"nash_mtl": -1.0, "fairgrad": -2 * alpha / (1 + alpha)}.get(method, 0.0)
        parameters = {"alpha": alpha} if method == "fairgrad" else {}
        for seed in range(5):
            J = random_jacobian(4, seed, KINDS[seed % 2]).astype(np.float32)
            scaled = np.float32(scale) * J
            results = [
                balance(FAST, mtl.ops.gramian(list(x[:, None])).numpy(), method, **parameters)
                for x in (J, scaled)
            ]
            (one, _, _, _), (other, status, residual, _) = results
            assert (status, residual <= 1e-8) == (BalanceStatus.CONVERGED, True)
            np.testing.assert_allclose(
                other, one * scale**power, rtol=1e-5, atol=1e-6 * scale**power
            )
    exact = balance(FAST, gram(random_jacobian(5, 1)), method)[0]
    power = {"nash_mtl": -1.0, "fairgrad": -1.0}.get(method, 0.0)
    other = balance(FAST, gram(scale * random_jacobian(5, 1)), method)[0]
    np.testing.assert_allclose(other / scale**power, exact, rtol=1e-10, atol=1e-12)


# === Hard cases ===


def without_absent(J, weights):
    present = np.any(J != 0, axis=1)
    np.testing.assert_array_equal(weights[~present], 0)
    return J[present], weights[present]


def check_fallback(J, weights, method):
    """What is documented where a method has no solution."""
    G = gram(J)
    if method in ("nash_mtl", "fairgrad"):
        assert truth.mgda_residual(G, weights) < 1e-6
    elif method == "imtl_g":
        norms = np.sqrt(np.diag(G))
        y = np.linalg.pinv(G / np.outer(norms, norms), rcond=1e-10, hermitian=True).sum(axis=1)
        expected = y / norms
        total, magnitude = expected.sum(), np.abs(expected).sum()
        expected = expected / total if abs(total) > 1e-10 * magnitude > 0 else 0 * expected
        np.testing.assert_allclose(weights, expected, atol=1e-6)
    else:
        assert method == "cagrad"
        mean = np.full(len(J), 1 / len(J))
        length = np.linalg.norm(J, axis=1).max()
        assert np.min(weights - mean) >= -1e-12
        # The best that all can gain is 0, and the distance to the mean is within c |g_0|.
        assert np.min(G @ weights / np.sqrt(np.diag(G))) >= -1e-6 * length
        assert (
            np.linalg.norm((weights - mean) @ J) <= 0.4 * np.linalg.norm(mean @ J) + 1e-6 * length
        )


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("method", METHODS)
def test_hard_cases(method, name):
    J = HARD[name]
    weights, status, residual, _ = balance(FAST, gram(J), method)
    assert np.all(np.isfinite(weights))
    J, weights = without_absent(J, weights)
    if len(J) == 0:
        assert (status, residual) == (BalanceStatus.CONVERGED, 0)
        return
    # Zero rows change nothing for the others; the mean is over the others as well.
    alone = balance(FAST, gram(J), method)
    np.testing.assert_allclose(weights, alone[0], rtol=1e-9)
    assert alone[1] == status
    if status == BalanceStatus.FALLBACK:
        assert method in ("nash_mtl", "fairgrad", "imtl_g", "cagrad")
        check_fallback(J, weights, method)
        return
    # What is left of a length where gradients cancel is rounding: no method can be more exact.
    rounding = 1e-3 if "near-opposite" in name else 1e-6
    if rounding == 1e-6 or method not in ("nash_mtl", "fairgrad"):
        assert status == BalanceStatus.CONVERGED
    assert (residual <= 1e-8) == (status == BalanceStatus.CONVERGED)
    if method == "cagrad" and np.linalg.norm(J.sum(axis=0)) < 1e-9 * np.abs(J).max():
        np.testing.assert_allclose(weights, 1 / len(J))  # no room around a mean of zero
        return
    if method == "aligned_mtl" and "near" in name:
        return  # an eigenvalue at the edge of rounding; see test_near_dependence
    assert error(J, weights, method) <= rounding


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize("method", ["nash_mtl", "fairgrad", "imtl_g"])
def test_fallback_is_told(method, name):
    assert balance(FAST, gram(HARD[name]), method)[1] == BalanceStatus.FALLBACK


@pytest.mark.parametrize("method", ["nash_mtl", "fairgrad"])
def test_exactly_opposite_gradients_are_a_fallback_for_any_numbers(method):
    """Also where the cosine is rounded to -1 + 1e-16."""
    r = np.random.default_rng(0)
    converged = 0
    for length in (1, 1, 1, *r.uniform(0.1, 10, 100)):
        a = r.standard_normal(6)
        converged += balance(FAST, gram(np.array([a, -length * a])), method)[1] == 0
    assert converged == 0


@pytest.mark.parametrize(
    "method", sorted(set(METHODS) - {"nash_mtl", "fairgrad", "imtl_g", "cagrad"})
)
def test_no_fallback_is_needed(method):
    for J in HARD.values():
        assert balance(FAST, gram(J), method)[1] == BalanceStatus.CONVERGED


def test_duplicates_share_what_one_gets():
    a, b = np.random.default_rng(0).standard_normal((2, 6))
    for method in ("mgda", "imtl_g"):
        two = balance(FAST, gram(np.array([a, b])), method)[0] @ np.array([a, b])
        J = np.array([a, a, b])
        np.testing.assert_allclose(balance(FAST, gram(J), method)[0] @ J, two, rtol=1e-9)


def test_opposite_by_hand():
    G = gram(np.array([[1.0, 0], [-1, 0]]))
    expected = {
        "mgda": [0.5, 0.5],
        "upgrad": [1, 1],
        "dualproj": [0.5, 0.5],
        "pcgrad": [2, 2],
        "gradvac": [2, 2],
        "cagrad": [0.5, 0.5],
        "nash_mtl": [0.5, 0.5],
        "fairgrad": [0.5, 0.5],
        "imtl_g": [0, 0],
        "aligned_mtl": [0, 0],
    }
    for method, weights in expected.items():
        np.testing.assert_allclose(balance(FAST, G, method)[0], weights, atol=1e-12, err_msg=method)


def test_reference_takes_defaults_after_tensors_of_unknown_shape():
    """A trace made for tensors of any shape is not used for a parameter that is not given."""
    G = gram(random_jacobian(6, 0))
    for method, name, value, dtype in [
        ("pcgrad", "order", truth.ascending_order(6), tf.int32),
        ("gradvac", "order", truth.ascending_order(6), tf.int32),
        ("dualproj", "preference", np.full(6, 1 / 6), tf.float64),
        ("gradvac", "targets", np.zeros((6, 6)), tf.float64),
    ]:
        spec = [None] * value.ndim
        call = tf.function(
            lambda G, x, method=method, name=name: mtl.ops.reference.balance(
                G, method, **{name: x}
            ),
            input_signature=[tf.TensorSpec([None, None], tf.float64), tf.TensorSpec(spec, dtype)],
            autograph=False,
        )
        expected = call(tf.constant(G), tf.constant(value, dtype))
        default = tf.function(
            lambda G, method=method: mtl.ops.reference.balance(G, method),
            input_signature=[tf.TensorSpec([None, None], tf.float64)],
            autograph=False,
        )
        np.testing.assert_allclose(default(tf.constant(G)), expected, rtol=1e-12)


def test_near_dependence():
    """Aligned-MTL on rows of lengths 1 and 1e-5 apart in direction, by singular values."""
    r = np.random.default_rng(0)
    J = np.vstack([r.standard_normal(6)] * 3) + 1e-3 * r.standard_normal((3, 6))
    for scale in ("min", "median", "mean"):
        weights = balance(FAST, gram(J), "aligned_mtl", scale=scale)[0]
        assert error(J, weights, "aligned_mtl", scale=scale) < 1e-6


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gramian_that_is_not_finite(implementation, bad):
    G = gram(J3)
    G[0, 2] = G[2, 0] = bad
    targets = np.full((3, 3), 0.25)
    for method in METHODS:
        parameters = {"targets": targets} if method == "gradvac" else {}
        weights, status, _, new_targets = balance(implementation, G, method, **parameters)
        assert status == BalanceStatus.NOT_FINITE
        assert np.all(np.isnan(weights))
        if method == "gradvac":
            np.testing.assert_array_equal(new_targets, targets)


@pytest.mark.parametrize("method", METHODS)
def test_one_task(method):
    # 4 w = 1 / w; and CAGrad goes on along the mean as far as it may.
    expected = {"nash_mtl": 0.5, "fairgrad": 0.5, "cagrad": 1.4}.get(method, 1.0)
    for implementation in ALL:
        weights, status, _, _ = balance(implementation, np.array([[4.0]]), method)
        assert status == BalanceStatus.CONVERGED
        np.testing.assert_allclose(weights, [expected], rtol=1e-12)


# === All implementations give one answer ===


@pytest.mark.parametrize("implementation", ALL[1:])
@pytest.mark.parametrize(("method", "parameters"), VARIANTS, ids=name_of)
def test_every_implementation_gives_one_answer(implementation, method, parameters):
    if implementation in ("eager", "xla") and parameters:
        pytest.skip("the parameters are tensors like any other")
    random = [random_jacobian(k, 50 + k, KINDS[k % 3]) for k in (2, 3, 5, 9, 20)]
    cases = {**HARD, **{f"random {len(J)}": J for J in random}}
    if implementation == "xla":
        cases = {name: cases[name] for name in ("random 3", "opposite", "a zero row")}
    wrong = []
    for name, J in cases.items():
        expected, status, _, _ = balance("binding", gram(J), method, **parameters)
        weights, own_status, _, _ = balance(implementation, gram(J), method, **parameters)
        is_edge = "near" in name and method in ("nash_mtl", "fairgrad", "imtl_g", "aligned_mtl")
        # What is left of G w after cancellation: nothing float64 could hold.
        is_edge |= method == "fairgrad" and name == "lengths 1e6 to 1e-6, conflict"
        if own_status != status and not is_edge:
            wrong.append((name, "status", int(own_status), status))
        if implementation != "reference":
            np.testing.assert_allclose(weights, expected, rtol=1e-12, err_msg=name)
        elif is_edge and method in ("nash_mtl", "fairgrad"):
            np.testing.assert_allclose(weights, expected, rtol=1e-3, err_msg=name)
        elif method == "aligned_mtl" and not is_edge:
            off = np.max(np.abs(weights - expected)) / max(np.max(np.abs(expected)), 1 / len(J))
            if off > 1e-5:  # TensorFlow's eigenvalues are right to a part of the greatest one
                wrong.append((name, "weights", off))
        elif not is_edge and direction_error(J, weights, expected @ J) > 1e-6:
            wrong.append((name, "direction", direction_error(J, weights, expected @ J)))
    assert not wrong


@needs_native
def test_native_does_not_need_a_float64_gramian():
    for dtype in (tf.float32, tf.bfloat16, tf.float16):
        G = tf.cast(gram(J3), dtype)
        report = mtl.ops.balance(G, "mgda", with_report=True)
        assert report.weights.dtype == dtype
        assert report.residual.dtype == report.targets.dtype == tf.float64
        np.testing.assert_allclose(
            tf.cast(report.weights, tf.float32), [0.4535, 0.35358, 0.19292], atol=0.01
        )


@pytest.mark.parametrize("function", [mtl.ops.balance, mtl.ops.reference.balance])
def test_no_gradient_passes(function):
    G = tf.constant(gram(J3))
    for method in METHODS if function is mtl.ops.balance else ("aligned_mtl", "pcgrad"):
        with tf.GradientTape() as tape:
            tape.watch(G)
            weights = function(G, method)
        assert tape.gradient(weights, G) is None


@functools.cache
def spellings():
    return {
        "nash_mtl": ["NashMTL", "nash-mtl", "Nash-MTL", "nashmtl", "NASH_MTL"],
        "aligned_mtl": ["AlignedMTL", "Aligned-MTL"],
        "imtl_g": ["IMTL-G", "IMTLG"],
        "mgda": ["MGDA"],
        "upgrad": ["UPGrad"],
        "cagrad": ["CAGrad"],
        "pcgrad": ["PCGrad"],
        "gradvac": ["GradVac"],
        "dualproj": ["DualProj"],
        "fairgrad": ["FairGrad"],
    }


def test_spellings():
    assert set(spellings()) == set(METHODS)
    for name, others in spellings().items():
        expected = mtl.ops.balance(gram(J3), name)
        for other in others:
            np.testing.assert_array_equal(mtl.ops.balance(gram(J3), other), expected)


# === Bad arguments ===

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
