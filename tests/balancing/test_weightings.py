"""Every weighting: oracle values, scaling, no harm to any task, and its state step by step."""

# ruff: noqa: N803 (J and G as in the papers)

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.weightings.gradnorm import gradnorm_gradient
from mtl_tf.balancing.weightings.random_order import random_order
from mtl_tf.ops import BalanceStatus
from tests.helpers import ops as truth
from tests.helpers.ops import J2, J3, random_jacobian

b = mtl.balancing
LOSSES = np.array([1.0, 0.5, 2.0, 4.0, 0.1])
NORMALISATIONS = ("none", "l2", "loss", "loss+")


def weigh(method, J, training=False):
    return method(tf.constant(J @ J.T), tf.constant(LOSSES[: len(J)]), training=training).numpy()


# === Oracle values: TorchJD 0.18.0 in float64; exact quadratic programs ===

ORACLES = [
    (J2, b.MGDA(), [0.6, 0.4], [0, 1, 1]),
    (J2, b.CAGrad(), [0.6633, 0.5], [0.3468, 1.1633, 1.1633]),
    (J2, b.CAGrad(c=0.5), [0.70412, 0.5], [0.1835, 1.20412, 1.20412]),
    (J2, b.IMTLG(), [0.59233, 0.40767], [0.0767, 1, 1]),
    (J2, b.NashMTL(), [0.591461, 0.407071], [0.0766, 0.99853, 0.99853]),
    (J2, b.FairGrad(), [0.591461, 0.407071], [0.0766, 0.99853, 0.99853]),
    (J2, b.FairGrad(alpha=2), [0.471363, 0.319454], None),
    (J2, b.AlignedMTL(), [0.55907, 0.40826], [0.21328, 0.96733, 0.96733]),
    (J2, b.UPGrad(), [10 / 9, 15 / 19], None),
    (J2, b.DualProj(), [11 / 18, 0.5], None),
    (J2, b.ConFIG(), None, [0.15881, 2.07061, 2.07061]),
    (J2, b.PCGrad(), None, [0.584795, 3.80117, 3.80117]),
    (J2, b.GradVac(), None, [0.584795, 3.80117, 3.80117]),  # its targets begin at PCGrad's
    (J2, b.Sum(), [1, 1], [2, 2, 2]),
    (J2, b.Mean(), [0.5, 0.5], [1, 1, 1]),
    (J3, b.MGDA(), [0.4535, 0.35358, 0.19292], [-0.15721, 0.89087, 0.93234, -0.06766]),
    (J3, b.CAGrad(), [0.57761, 0.38026, 1 / 3], [-0.01624, 1.01202, 1.38026, 0.08905]),
    (J3, b.CAGrad(c=0.5), [0.63446, 0.44393, 1 / 3], [-0.08673, 1.15755, 1.44393, 0.03221]),
    (J3, b.IMTLG(), [0.45572, 0.2941, 0.25018], [-0.00738, 0.80831, 1.04464, 0.04464]),
    (J3, b.NashMTL(), [0.55654, 0.444712, 0.313633], [-0.17607, 1.0218, 1.38561, 0.07073]),
    (J3, b.FairGrad(), [0.55654, 0.444712, 0.313633], [-0.17607, 1.0218, 1.38561, 0.07073]),
    (J3, b.FairGrad(alpha=2), [0.438018, 0.344775, 0.220676], None),
    (J3, b.AlignedMTL(), [0.37285, 0.31555, 0.2248], [-0.14585, 0.67868, 0.98996, 0.07675]),
    (J3, b.UPGrad(), [0.583333, 0.374677, 0.410853], None),
    (J3, b.ConFIG(), None, [-0.02297, 2.51716, 3.25312, 0.13902]),
    (J3, b.DualProj(), [1 / 3, 1 / 3, 1 / 3], [-1 / 6, 0.5, 4 / 3, 1 / 3]),
]


@pytest.mark.parametrize(
    ("J", "method", "weights", "direction"), ORACLES, ids=lambda x: getattr(x, "name", "")
)
def test_oracle_values(J, method, weights, direction):
    called = method(tf.constant(J @ J.T)).numpy()
    report = method.report(tf.constant(J @ J.T))
    assert report.status == BalanceStatus.CONVERGED
    found = report.weights.numpy()
    np.testing.assert_array_equal(called, found)  # of two tasks there is but one order
    if weights is not None:
        np.testing.assert_allclose(found, weights, atol=6e-6)
    if direction is not None:
        np.testing.assert_allclose(found @ J, direction, atol=6e-5 if J is J2 else 1.5e-5)


@pytest.mark.parametrize("scale", ["min", "median", "mean"])
def test_aligned_mtl_takes_the_eigenvalue_asked_for(scale):
    expected = truth.aligned_mtl(J3, np.full(3, 1 / 3), scale)
    np.testing.assert_allclose(weigh(b.AlignedMTL(scale), J3), expected, rtol=1e-7)


# === Scale ===

HOMOGENEOUS = {
    "sum": b.Sum,
    "mean": b.Mean,
    "gradnorm": b.GradNorm,
    **{f"mgda {n}": lambda n=n: b.MGDA(n) for n in NORMALISATIONS},
    "pcgrad": lambda: b.PCGrad(seed=1),
    "gradvac": lambda: b.GradVac(seed=1),
    "cagrad": b.CAGrad,
    "imtl_g": b.IMTLG,
    **{f"aligned_mtl {s}": lambda s=s: b.AlignedMTL(s) for s in ("min", "median", "mean")},
    "upgrad": b.UPGrad,
    "dualproj": b.DualProj,
    "config": b.ConFIG,
}
SCALES = (1e-12, 1e-6, 1.0, 1e6, 1e12)
POWERS = {
    **{name: (make, 1.0) for name, make in HOMOGENEOUS.items()},
    "nash_mtl": (b.NashMTL, 0.0),
    # G w = w^(-1/alpha): with G ~ s^2, w ~ s^(-2 alpha / (1 + alpha)), and the direction s w.
    **{f"fairgrad {a}": (lambda a=a: b.FairGrad(a), (1 - a) / (1 + a)) for a in (0.5, 1, 2, 5)},
}


@pytest.mark.parametrize("name", POWERS)
def test_the_direction_follows_the_scale_of_the_gradients(name):
    make, power = POWERS[name]
    for num_tasks in (3, 5):
        J = random_jacobian(num_tasks, 11, "conflict")
        expected = weigh(make(), J) @ J
        for s in SCALES:
            direction = weigh(make(), s * J) @ (s * J) / s**power
            off = np.linalg.norm(direction - expected) / np.linalg.norm(expected)
            assert off < 1e-6, (num_tasks, s)


@pytest.mark.parametrize("name", ["gradnorm", "gradvac"])
def test_state_does_not_depend_on_the_scale_of_the_gradients(name):
    states = []
    for s in SCALES:
        method = HOMOGENEOUS[name]()
        for seed in range(4):
            weigh(method, s * random_jacobian(5, seed), training=True)
        states.append(method.task_weights if name == "gradnorm" else method.targets)
    for state in states:
        np.testing.assert_allclose(state, states[2], rtol=1e-6)


@pytest.mark.parametrize("normalisation", ["loss", "loss+"])
def test_mgda_does_not_depend_on_a_common_scale_of_the_losses(normalisation):
    G = tf.constant(J3 @ J3.T)
    one, other = (b.MGDA(normalisation)(G, s * LOSSES[:3]) for s in (1e-6, 1e6))
    np.testing.assert_allclose(one, other, rtol=1e-9)


# === No task is harmed ===

UNHARMED = {
    "upgrad": b.UPGrad(),
    "dualproj": b.DualProj(),
    **{f"mgda {n}": b.MGDA(n) for n in NORMALISATIONS},
    "nash_mtl": b.NashMTL(),
    "config": b.ConFIG(),
}


@pytest.mark.parametrize("name", UNHARMED)
def test_no_task_is_harmed(name):
    """100 Jacobians with conflicts; half of them with rows of very different lengths."""
    for seed in range(100):
        J = random_jacobian(3 + seed % 3, seed, ("conflict", "lengths")[seed % 2])
        if np.all(J @ J.T >= 0):
            continue
        weights = weigh(UNHARMED[name], J)
        gains, lengths = J @ (weights @ J), np.linalg.norm(J, axis=1)
        assert np.all(gains >= -1e-9 * lengths * (np.abs(weights) @ lengths)), seed


# === MGDA ===


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_mgda_is_the_shortest_mean_of_the_normalised_gradients(normalisation):
    for seed in range(10):
        J = random_jacobian(4, seed, ("conflict", "lengths")[seed % 2])
        lengths = np.linalg.norm(J, axis=1)
        divisors = {"none": 1, "l2": lengths, "loss": LOSSES[:4], "loss+": lengths * LOSSES[:4]}
        n = np.ones(4) * divisors[normalisation]
        shortest = truth.mgda_direction(J / n[:, None])
        weights = weigh(b.MGDA(normalisation), J)
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
        assert weights.min() >= 0
        # Its own direction is parallel to the shortest mean: with a = w n, sum 1 after scaling.
        simplex = weights * n / np.sum(weights * n)
        scale = np.linalg.norm(J / n[:, None], axis=1).min()
        np.testing.assert_allclose(simplex @ (J / n[:, None]), shortest, atol=1e-6 * scale)


def test_mgda_needs_the_losses_it_normalises_by():
    for normalisation in ("loss", "loss+"):
        with pytest.raises(ValueError, match=r"normalisation='loss.*losses"):
            b.MGDA(normalisation)(tf.constant(J2 @ J2.T))


# === Random orders ===


def test_random_order_draws_all_orders_equally_often():
    generator = keras.random.SeedGenerator(0)
    draw = tf.function(lambda: random_order(4, generator))
    drawn = np.array([draw() for _ in range(300)])
    for i in range(4):
        others = [j for j in range(4) if j != i]
        np.testing.assert_array_equal(np.sort(drawn[:, i], axis=1), [others] * 300)
        _, counts = np.unique(drawn[:, i], axis=0, return_counts=True)
        assert len(counts) == 6 and counts.min() > 25 and counts.max() < 80
    assert random_order(1, generator).shape == (1, 0)


def test_pcgrad_is_the_loop_over_vectors_in_the_order_drawn():
    method, generator = b.PCGrad(seed=4), keras.random.SeedGenerator(4)
    J = random_jacobian(5, 3, "conflict")
    directions = []
    for _ in range(5):
        directions.append(weigh(method, J) @ J)
        expected = truth.pcgrad(J, random_order(5, generator).numpy())
        np.testing.assert_allclose(directions[-1], expected, rtol=1e-9, atol=1e-12)
    assert np.ptp(directions, axis=0).max() > 1e-3


def test_gradvac_is_the_loop_over_vectors_and_keeps_its_targets():
    method, generator = b.GradVac(beta=0.2, seed=4), keras.random.SeedGenerator(4)
    targets = np.zeros((4, 4))
    for seed in range(6):
        J = random_jacobian(4, seed)
        training = seed != 3
        weights = weigh(method, J, training)
        order = random_order(4, generator).numpy()
        direction, new_targets = truth.gradvac(J, order, targets, 0.2)
        np.testing.assert_allclose(weights @ J, direction, rtol=1e-8, atol=1e-10)
        targets = new_targets if training else targets
        np.testing.assert_allclose(method.targets, targets, atol=1e-10)


# === GradNorm ===


def test_gradnorm_step_by_hand():
    method = b.GradNorm(alpha=1.5, learning_rate=0.1)
    n = np.array([1.0, 2.0, 6.0])
    G = tf.constant(np.diag(n**2))
    np.testing.assert_allclose(method(G, losses=[1.0, 2.0, 4.0], training=True), 1)
    w = np.ones(3) - 0.1 * np.sign(n - 3) * n / 3  # equal rates: every target is the mean norm
    w *= 3 / w.sum()
    np.testing.assert_allclose(method.task_weights, w, rtol=1e-12)
    np.testing.assert_allclose(method.initial_losses, [1, 2, 4])
    np.testing.assert_allclose(method(G, losses=[0.5, 2.0, 1.0], training=True), w, rtol=1e-12)
    rates = np.array([0.5, 1, 0.25])
    targets = np.mean(w * n) * (rates / rates.mean()) ** 1.5
    w -= 0.1 * np.sign(w * n - targets) * n / 3
    np.testing.assert_allclose(method.task_weights, w * 3 / w.sum(), rtol=1e-12)
    np.testing.assert_allclose(method.initial_losses, [1, 2, 4])


def test_gradnorm_gradient_against_differences():
    w, n, rates = np.array([1.2, 0.7, 1.1]), np.array([1.0, 2.0, 6.0]), np.array([0.5, 1, 0.25])
    targets = np.mean(w * n) * (rates / rates.mean()) ** 0.7
    steps = 1e-6 * np.eye(3)
    expected = [
        (np.abs((w + h) * n - targets).sum() - np.abs((w - h) * n - targets).sum()) / 2e-6
        for h in steps
    ]
    tensors = [tf.constant(x) for x in (w, n, rates)]
    found = gradnorm_gradient(*tensors, 0.7, tf.fill([3], True))
    np.testing.assert_allclose(found * np.mean(n), expected, rtol=1e-6)


@pytest.mark.parametrize("with_losses", [False, True])
def test_gradnorm_ends_where_the_norms_are_the_targets(with_losses):
    method = b.GradNorm(alpha=1, learning_rate=5e-3)  # with others, the targets may not add up
    n, rates = np.array([1.0, 2.0, 6.0]), np.array([0.5, 1.0, 0.25])
    G = tf.constant(np.diag(n**2))
    method.build((3,))
    step = tf.function(lambda x: method(G, losses=x if with_losses else None, training=True))
    step(tf.ones(3, tf.float64))
    for _ in range(800):
        weights = step(tf.constant(rates)).numpy()
    targets = np.mean(weights * n) * (rates / rates.mean() if with_losses else 1)
    assert np.all(
        np.abs(weights * n - targets) <= 5e-3 * n.max() ** 2 / n.mean()
    )  # the greatest step
    np.testing.assert_allclose(weights.sum(), 3)


def test_gradnorm_keeps_the_share_of_absent_tasks():
    method, present = b.GradNorm(learning_rate=0.1), tf.constant([True, False, True])
    weigh(method, J3, training=True)
    before = np.array(method.task_weights)
    weights = method(tf.constant(J3 @ J3.T), is_present=present, training=True).numpy()
    np.testing.assert_allclose(weights, np.where(present, before, 0) * 2 / before[::2].sum())
    after = np.array(method.task_weights)
    assert after[1] == before[1] and np.all(after[::2] != before[::2])
    np.testing.assert_allclose(after.sum(), 3)


# === Faults ===


@pytest.mark.parametrize("name", [n for n, row in b.TABLE.items() if row.kind == "weighting"])
def test_a_gramian_that_is_not_finite_leaves_the_state_alone(name):
    method = b.get(name)
    weigh(method, J3, training=True)
    before = [np.array(v) for v in method.variables if "seed" not in v.name]
    report = method.report(tf.fill([3, 3], np.float64(np.nan)), LOSSES[:3], training=True)
    after = [np.array(v) for v in method.variables if "seed" not in v.name]
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, two)
    if name not in ("sum", "mean", "gradnorm"):
        assert report.status == BalanceStatus.NOT_FINITE


BAD = {
    "MGDA": [("normalisation", "l1")],
    "GradNorm": [("alpha", -1), ("alpha", np.nan), ("learning_rate", -1)],
    "GradVac": [("beta", 1.5), ("beta", np.nan)],
    "CAGrad": [("c", -0.1), ("c", np.inf), ("c", np.nan)],
    "FairGrad": [("alpha", 0), ("alpha", np.nan)],
    "AlignedMTL": [("scale", "max")],
}


@pytest.mark.parametrize(("name", "argument", "value"), [(n, *x) for n in BAD for x in BAD[n]])
def test_bad_arguments_are_told(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must .*Received: {value!r}"):
        getattr(b, name)(**{argument: value})
