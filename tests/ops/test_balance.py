"""`balance`: oracle values, optimality by independent checkers, scale."""

# ruff: noqa: N803 (J and G as in the papers)

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.ops import BalanceStatus
from mtl_tf.ops._balance import METHODS
from tests.helpers import ops as truth
from tests.helpers.ops import J2, J3, KINDS, random_jacobian
from tests.ops.balance_errors import FAST, VARIANTS, direction_error, error, gram, name_of
from tests.ops.implementations import ALL, balance

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
    [(J2, 0.4, [1, 0]), (J3, 0.4, [0.83886, 0.16114, 0]), (J3, 0.5, [0.73139, 0.26861, 0])],
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


# === Random Gramians ===


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
