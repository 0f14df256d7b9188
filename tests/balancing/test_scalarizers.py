"""Every scalarizer against numbers in float64 NumPy, written from its definition."""

import re

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.scalarizers.famo import famo_gradient
from mtl_tf.balancing.scalarizers.rlw import random_weights

LOSSES = np.array([1.0, 0.5, 2.0])
LATER = np.array([0.9, 0.1, 1.9])


def derivatives(method, losses, present=None, training=False):
    """The value, the weight of each task, and the gradients of the method's own weights."""
    losses = tf.constant(losses, tf.float64)
    present = None if present is None else tf.constant(present)
    with tf.GradientTape() as tape:
        tape.watch(losses)
        value = method(losses, present, training=training)
    weights, *own = tape.gradient(value, [losses, *method.trainable_variables])
    return float(value), weights.numpy(), [g.numpy() for g in own]


def weights_of(method, losses=LOSSES, present=None, training=False):
    return derivatives(method, losses, present, training)[1]


def epoch(method, *steps, present=None):
    for losses in steps:
        derivatives(method, losses, present, training=True)
    method.end_epoch()


# === Without state ===


def test_fixed_weights_is_the_weighted_sum():
    assert float(mtl.balancing.FixedWeights()(LOSSES)) == 3.5
    assert float(mtl.balancing.FixedWeights([2, 0, 0.5])(LOSSES)) == 3.0


def test_geometric_mean():
    value, weights, _ = derivatives(mtl.balancing.GeometricMean(), LOSSES)
    np.testing.assert_allclose(value, np.prod(LOSSES) ** (1 / 3))
    np.testing.assert_allclose(weights, value / 3 / LOSSES)
    value, weights, _ = derivatives(mtl.balancing.GeometricMean(), [4.0, 7, 9], [True, False, True])
    np.testing.assert_allclose(value, 6)
    np.testing.assert_allclose(weights, [3 / 4, 0, 3 / 9])


def test_scale_invariant():
    value, weights, _ = derivatives(mtl.balancing.ScaleInvariant(), LOSSES)
    np.testing.assert_allclose(value, np.log(LOSSES).sum(), atol=1e-12)
    np.testing.assert_allclose(weights, 1 / LOSSES)


def test_logarithms_stop_at_1e_8():
    for method in (mtl.balancing.ScaleInvariant(), mtl.balancing.GeometricMean()):
        value, weights, _ = derivatives(method, [1e-12, 2.0])
        np.testing.assert_allclose(value, derivatives(method, [1e-8, 2.0])[0])
        assert weights[0] == 0


# === Random ===


@pytest.mark.parametrize("distribution", ["normal", "uniform", "dirichlet"])
def test_random_weights_have_their_distribution(distribution):
    r = np.random.default_rng(0)
    draw = r.standard_normal if distribution == "normal" else r.random
    numbers, others = draw((2, 3000, 3))
    compiled = tf.function(
        lambda x: tf.map_fn(lambda n: random_weights(n, tf.fill([3], True), distribution), x)
    )
    weights = compiled(tf.constant(numbers)).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.015)
    truth = scipy.special.softmax(others, axis=1)
    if distribution == "dirichlet":
        truth = r.dirichlet([1, 1, 1], 3000)
    for k in range(3):
        assert scipy.stats.ks_2samp(weights[:, k], truth[:, k]).pvalue > 1e-3
    # Not only each weight for itself: the greatest of them as well.
    assert scipy.stats.ks_2samp(weights.max(axis=1), truth.max(axis=1)).pvalue > 1e-3


@pytest.mark.parametrize("distribution", ["normal", "uniform", "dirichlet"])
def test_rlw_draws_afresh_in_every_call(distribution):
    method = mtl.balancing.RLW(distribution, seed=0)
    drawn = np.array([weights_of(method) for _ in range(100)])
    np.testing.assert_allclose(drawn.sum(axis=1), 1, rtol=1e-6)
    assert len(np.unique(drawn[:, 0])) == 100
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.1)
    spread = {"normal": 0.2, "uniform": 0.08, "dirichlet": 18**-0.5}[distribution]
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.3)
    some = weights_of(method, present=[True, False, True])
    assert some[1] == 0 and np.isclose(some.sum(), 1)
    again = mtl.balancing.RLW(distribution, seed=0)
    np.testing.assert_array_equal(weights_of(again), drawn[0])


# === Learned exponents ===


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l"])
def test_learned_exponents_by_their_formulas(name):
    method = mtl.balancing.get(name)
    method.build((3,))
    v = np.array([-0.5, 0.2, 1.0])
    method.trainable_variables[0].assign(v)
    value, weights, (own,) = derivatives(method, LOSSES)
    expected = {
        "uncertainty": [
            np.exp(-v) / 2 @ LOSSES + sum(v / 2),
            np.exp(-v) / 2,
            (1 - np.exp(-v) * LOSSES) / 2,
        ],
        "imtl_l": [np.exp(v) @ LOSSES - sum(v), np.exp(v), np.exp(v) * LOSSES - 1],
    }
    for found, truth in zip((value, weights, own), expected[name], strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "optimum"), [("uncertainty", np.log(LOSSES)), ("imtl_l", -np.log(LOSSES))]
)
def test_learned_exponents_converge_and_stay_within_ten(name, optimum):
    method = mtl.balancing.get(name)
    method.build((3,))
    (exponents,) = method.trainable_variables
    optimizer = keras.optimizers.SGD(0.5)
    for _ in range(50):
        _, _, (gradient,) = derivatives(method, LOSSES)
        optimizer.apply_gradients([(tf.constant(gradient), exponents)])
    np.testing.assert_allclose(exponents, optimum, atol=1e-3)
    keras.optimizers.SGD(100.0).apply_gradients([(tf.constant([1.0, -1, 0]), exponents)])
    np.testing.assert_allclose(exponents, [-10, 10, optimum[2]], atol=1e-3)
    _, _, (gradient,) = derivatives(method, LOSSES, [True, False, True])
    assert gradient[1] == 0 and gradient[0] != 0


# === Statistics of steps ===


def test_inverse_magnitude_makes_the_initial_losses_equal():
    method = mtl.balancing.InverseMagnitude()
    weights = weights_of(method, training=True)
    np.testing.assert_allclose(weights * LOSSES, LOSSES.mean())
    np.testing.assert_allclose(weights_of(method, LATER, training=True), weights)


def test_inverse_magnitude_over_three_steps_with_a_task_that_comes_later():
    method = mtl.balancing.InverseMagnitude(steps=3)
    r = np.random.default_rng(0)
    steps = r.uniform(0.1, 10, (6, 3))
    for n, losses in enumerate(steps):
        weights = weights_of(method, losses, [True, n >= 2, True], training=True)
        means = np.array([steps[: min(n + 1, 3), k].mean() for k in (0, 2)])
        if n < 2:
            np.testing.assert_allclose(weights[[0, 2]] * means, means.mean())
            assert weights[1] == 0
            continue
        means = np.insert(means, 1, steps[2 : min(n + 1, 5), 1].mean())
        np.testing.assert_allclose(weights * means, means.mean())


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_dtp_follows_the_smoothed_indicators(gamma):
    method = mtl.balancing.DTP(gamma, smoothing=0.3, kpi=lambda losses: 1 - losses / 4)
    k = 1 - LOSSES / 4
    for losses in (LOSSES, LATER, LOSSES):
        k = k + 0.3 * (1 - losses / 4 - k)
        value, weights, _ = derivatives(method, losses, training=True)
        np.testing.assert_allclose(weights, -((1 - k) ** gamma) * np.log(k))
        np.testing.assert_allclose(value, weights @ losses)


def test_dtp_takes_the_likelihood_by_default():
    k = np.exp(-LOSSES)
    np.testing.assert_allclose(weights_of(mtl.balancing.DTP()), -(1 - k) * np.log(k))
    assert np.all(weights_of(mtl.balancing.DTP(), [0.0, 0, 0]) < 1e-10)


@keras.saving.register_keras_serializable(package="tests")
def one_over(losses):
    return 1 / (1 + losses)


def test_dtp_saves_an_indicator_of_ones_own():
    method = mtl.balancing.DTP(kpi=one_over)
    again = mtl.balancing.DTP.from_config(method.get_config())
    assert again.kpi is one_over
    np.testing.assert_array_equal(weights_of(again), weights_of(method))


# === Statistics of epochs ===


def test_dwa_against_the_published_code():
    method = mtl.balancing.DWA()
    np.testing.assert_allclose(weights_of(method), 1)
    epoch(method, [1.0, 0.4, 2.0], [1.4, 0.6, 3.0])
    np.testing.assert_allclose(weights_of(method), 1)
    epoch(method, LOSSES)
    expected = [0.97708, 1.06199, 0.96093]
    np.testing.assert_allclose(weights_of(method), expected, atol=5e-6)


def test_dwa_with_a_task_that_is_absent_in_an_epoch():
    method = mtl.balancing.DWA(temperature=0.5)
    some = [True, False, True]
    epoch(method, [1.2, 0.5, 2.5])
    epoch(method, [1.0, 0.4, 2.0])
    epoch(method, [0.5, 9.0, 1.9], present=some)
    ratio = np.array([0.5 / 1.0, 0.4 / 0.5, 1.9 / 2.0])
    expected = 3 * scipy.special.softmax(ratio / 0.5)
    np.testing.assert_allclose(weights_of(method), expected)
    half = 2 * scipy.special.softmax(ratio[::2] / 0.5)
    np.testing.assert_allclose(weights_of(method, present=some), [half[0], 0, half[1]])
    epoch(method, [0.5, 0.2, 1.9])
    ratio = np.array([1, 0.2 / 0.4, 1])
    np.testing.assert_allclose(weights_of(method), 3 * scipy.special.softmax(ratio / 0.5))


def test_stch_is_a_smooth_maximum_after_the_warm_up():
    method = mtl.balancing.STCH(mu=0.3, warmup_epochs=2)
    for _ in range(2):
        np.testing.assert_allclose(derivatives(method, LATER)[0], np.log(LATER).sum())
        np.testing.assert_allclose(weights_of(method, LATER), 1 / LATER)
        epoch(method, LOSSES, 3 * LOSSES)
    epoch(method, [7.0, 7, 7])
    powers = (LATER / (2 * LOSSES)) ** (1 / 0.3)
    value, weights, _ = derivatives(method, LATER)
    np.testing.assert_allclose(value, 3 * 0.3 * np.log(powers.sum()))
    np.testing.assert_allclose(weights, 3 * powers / powers.sum() / LATER)
    value, weights, _ = derivatives(method, LATER, [False, True, True])
    np.testing.assert_allclose(value, 2 * 0.3 * np.log(powers[1:].sum()))
    np.testing.assert_allclose(weights, 2 * np.append(0, powers[1:] / powers[1:].sum()) / LATER)


def test_stch_becomes_the_maximum_and_an_unknown_task_is_relative_to_one():
    method = mtl.balancing.STCH(mu=1e-4, warmup_epochs=1)
    epoch(method, LOSSES, present=[True, True, False])
    relative = LATER / [1, 0.5, 1]
    value, weights, _ = derivatives(method, LATER)
    np.testing.assert_allclose(value, 3 * np.log(relative.max()), rtol=1e-3)
    np.testing.assert_allclose(weights, 3 * (relative == relative.max()) / LATER, atol=1e-6)


# === FAMO ===


def test_famo_is_the_weighted_logarithm_over_its_slope():
    method = mtl.balancing.FAMO(min_losses=0.05)
    method.build((3,))
    method.logits.assign([0.3, -1.0, 0.5])
    z, excess = scipy.special.softmax([0.3, -1.0, 0.5]), LATER - 0.05
    value, weights, _ = derivatives(method, LATER)
    c = np.sum(z / excess)
    np.testing.assert_allclose(value, np.sum(z * np.log(excess)) / c, rtol=1e-6)
    np.testing.assert_allclose(weights, z / excess / c, rtol=1e-6)
    np.testing.assert_allclose(weights.sum(), 1)


@pytest.mark.parametrize("present", [[True, True, True], [True, False, True]])
def test_famo_gradient_against_differences(present):
    logits, mask = np.array([0.3, -1.0, 0.5]), np.array(present)
    fall = np.log(LOSSES[mask]) - np.log(LATER[mask])

    def gained(x):
        return scipy.special.softmax(x[mask]) @ fall

    steps = 1e-5 * np.eye(3)
    expected = [(gained(logits + h) - gained(logits - h)) / 2e-5 for h in steps]
    arguments = [tf.constant(x, tf.float64) for x in (LOSSES, LATER, logits)]
    found = famo_gradient(*arguments, 0.0, tf.constant(present))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_famo_learns_with_adam(weight_decay):
    method = mtl.balancing.FAMO(learning_rate=0.1, weight_decay=weight_decay)
    method.build((3,))
    twin = keras.Variable(np.zeros(3), dtype="float64")
    optimizer = keras.optimizers.Adam(0.1, epsilon=1e-12)
    present = tf.fill([3], True)
    for n in range(5):
        before, after = tf.constant(LOSSES), tf.constant(LATER * (1 + n * LOSSES))
        gradient = famo_gradient(before, after, twin.value, 0.0, present)
        gradient += weight_decay * twin.value
        method.after_update(before, after, present)
        optimizer.apply([gradient], [twin])
        np.testing.assert_allclose(method.logits, twin, rtol=1e-5)


def test_famo_puts_weight_on_the_task_that_falls_least_and_skips_what_is_not_finite():
    method = mtl.balancing.FAMO()
    method.build((3,))
    method.after_update(tf.constant(LOSSES), tf.constant([0.9, 0.1, np.nan]), tf.fill([3], True))
    logits = np.array(method.logits)
    assert logits[0] > 0 > logits[1] and logits[2] == 0


# === Bad arguments ===

NAN, INF = float("nan"), float("inf")
BAD = {
    "FixedWeights": [("weights", [1, -1]), ("weights", [1, NAN]), ("weights", [1, INF])],
    "InverseMagnitude": [("steps", 0)],
    "Uncertainty": [("initial_log_variance", 11), ("initial_log_variance", NAN)],
    "DWA": [("temperature", 0), ("temperature", NAN)],
    "DTP": [("gamma", -1), ("gamma", NAN), ("smoothing", 0), ("smoothing", 1.1)],
    "RLW": [("distribution", "bernoulli")],
    "STCH": [("mu", 0), ("mu", NAN), ("warmup_epochs", 0)],
    "FAMO": [("learning_rate", -1), ("weight_decay", -1), ("weight_decay", NAN)],
}


@pytest.mark.parametrize(("name", "argument", "value"), [(n, *x) for n in BAD for x in BAD[n]])
def test_bad_arguments_are_told(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must .*Received: {re.escape(repr(value))}"):
        getattr(mtl.balancing, name)(**{argument: value})


@pytest.mark.parametrize("weights", [[], [1, 2]])
def test_fixed_weights_of_another_number_of_tasks(weights):
    with pytest.raises(ValueError, match=f"{len(weights)} weights.*3 tasks"):
        mtl.balancing.FixedWeights(weights)(LOSSES)
