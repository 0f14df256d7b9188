"""What every row of the table must do: configuration, shapes, absent tasks, state, tf.function."""

# ruff: noqa: N803 (J as in the papers)

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing import Scalarizer, Weighting
from mtl_tf.balancing.scalarizers.rlw import random_weights
from mtl_tf.ops import _library
from tests.helpers.ops import J2, J3, hard_jacobians, random_jacobian

NAMES = list(mtl.balancing.TABLE)
SCALARIZERS = [n for n, row in mtl.balancing.TABLE.items() if row.kind == "scalarizer"]
GRADIENTS = [n for n in NAMES if n not in SCALARIZERS]
WEIGHTINGS = [n for n in GRADIENTS if mtl.balancing.TABLE[n].kind == "weighting"]
RANDOM = ("rlw", "pcgrad", "gradvac", "graddrop")
STATE = {
    "inverse_magnitude": {"initial_losses", "counts"},
    "uncertainty": {"log_variances"},
    "dwa": {"loss_sums", "loss_counts", "last", "before"},
    "dtp": {"kpis"},
    "imtl_l": {"log_scales"},
    "stch": {"loss_sums", "loss_counts", "nadir", "epochs"},
    "famo": {"logits", "adam_momentum", "adam_velocity", "adam_step"},
    "gradnorm": {"task_weights", "initial_losses"},
    "gradvac": {"targets"},
}
LOSSES = np.array([1.5, 0.5, 2.0])


def make(name, **arguments):
    """The method; random ones with a seed, so that two of them are alike."""
    if name in RANDOM:
        arguments = {"seed": 3, **arguments}
    return type(mtl.balancing.get(name))(**arguments)


def outcome(method, J, losses, present=None, training=False, dtype="float64"):
    """A scalarizer's derivative `[K]`, a weighting's weights `[K]`, or a direction `[P]`."""
    losses = tf.constant(losses, dtype)
    if isinstance(method, Scalarizer):
        with tf.GradientTape() as tape:
            tape.watch(losses)
            value = method(losses, present, training=training)
        assert value.shape == () and value.dtype == dtype
        tf.debugging.assert_all_finite(value, "the value")
        return tape.gradient(value, losses)
    if isinstance(method, Weighting):
        return method(tf.constant(J @ J.T, dtype), losses, present, training=training)
    J = tf.constant(J, dtype)
    J = J if present is None else tf.where(present[:, None], J, tf.zeros_like(J))
    return method(J, training=training)


def train(method, J, losses, present=None, epochs=2):
    """As the trainer does it; the larger a loss, the faster it falls."""
    losses = np.asarray(losses)
    mask = tf.fill([len(J)], True) if present is None else tf.constant(present)
    for _ in range(epochs):
        outcome(method, J, losses, present, training=True)
        fallen = losses * (0.5 + 0.4 / (1 + losses))
        method.after_update(tf.constant(losses), tf.constant(fallen), mask)
        method.end_epoch()
        losses = fallen


def state(method):
    """Values of all variables but the random generators'."""
    return {v.name: np.array(v) for v in method.variables if "seed" not in v.name}


# === The table ===


def test_the_table_has_all_methods():
    for name, row in mtl.balancing.TABLE.items():
        assert row.cls.__name__.lower() == name.replace("_", "")
        assert row.cls.__name__ in mtl.balancing.__all__
        assert row.cost.startswith("1" if row.kind == "scalarizer" else "K")
        assert ("2 forward" in row.cost) == (name == "famo")
        assert row.paper and 2012 <= row.year <= 2026


@pytest.mark.parametrize("name", NAMES)
def test_names_may_be_spelled_like_the_class_or_the_paper(name):
    cls = mtl.balancing.TABLE[name].cls
    for spelling in (name, cls.__name__, name.replace("_", "-"), name.upper()):
        assert mtl.balancing.canonical_name(spelling) == name
        assert type(mtl.balancing.get(spelling)) is cls


def test_get_takes_objects_and_none():
    method = mtl.balancing.NashMTL()
    assert mtl.balancing.get(method) is method
    assert type(mtl.balancing.get("Nash-MTL")) is type(method)
    assert type(mtl.balancing.get(None)) is mtl.balancing.FixedWeights


@pytest.mark.parametrize("bad", ["pcgradd", "", 3, mtl.balancing.MGDA])
def test_get_tells_what_it_knows(bad):
    with pytest.raises(ValueError, match=r"balancing must be one of fixed_weights, .*config"):
        mtl.balancing.get(bad)


@pytest.mark.parametrize("name", NAMES)
def test_configuration_makes_the_method_again(name):
    method = mtl.balancing.get(name)
    again = type(method).from_config(method.get_config())
    assert again.get_config() == method.get_config()
    assert keras.layers.deserialize(keras.layers.serialize(method)).name == method.name


# === Values ===


@pytest.mark.parametrize("name", NAMES)
def test_one_task(name):
    found = outcome(make(name), np.array([[3.0, 4.0]]), [2.0]).numpy()
    expected = {
        "fixed_weights": 1,
        "inverse_magnitude": 1,
        "dwa": 1,
        "rlw": 1,
        "geometric_mean": 1,
        "scale_invariant": 0.5,
        "imtl_l": 1,
        "stch": 0.5,
        "famo": 1,
        "gradnorm": 1,
        "nash_mtl": 0.2,
        "fairgrad": 0.2,
        "cagrad": 1.4,
    }
    if name in GRADIENTS and name not in WEIGHTINGS:
        np.testing.assert_allclose(found, [3, 4], rtol=1e-6)
    elif name in expected or name in WEIGHTINGS:
        np.testing.assert_allclose(found, [expected.get(name, 1)], rtol=1e-6)
    assert np.all(np.isfinite(found)) and np.all(found > 0)


@pytest.mark.parametrize("name", SCALARIZERS)
def test_losses_of_any_size_give_finite_numbers(name):
    for losses in ([0, 1e-10, 1e8], [0.0, 0, 0], [1e8, 1e8, 1e8], [1e-10, 1e8, 1]):
        method = make(name)
        for epochs in (0, 1, 4):  # during and after all warm-ups
            train(method, J3, losses, epochs=epochs)
            assert np.all(np.isfinite(outcome(method, J3, losses, dtype="float32")))
            assert np.all(np.isfinite(outcome(method, J3, losses[::-1], dtype="float32")))
        assert all(np.all(np.isfinite(v)) for v in state(method).values())


@pytest.mark.parametrize("name", GRADIENTS)
def test_hard_jacobians_give_finite_numbers(name):
    r = np.random.default_rng(0)
    a, b = r.standard_normal((2, 6))
    lengths = 10.0 ** np.array([-10, -3, 0, 7, 15])
    cases = {
        **hard_jacobians(),
        "lengths 1e-10 to 1e15": r.standard_normal((5, 6)) * lengths[:, None],
        "identical, 1e-10 to 1e15": a * lengths[:, None],
        "opposite, 1e-10 and 1e15": np.array([1e-10 * a, -1e15 * a]),
        "opposite and zero": np.array([a, -a, 0 * a]),
        "all 1e-10": 1e-10 * np.array([a, -a + 0.1 * b, b]),
        "all 1e15": 1e15 * np.array([a, -a + 0.1 * b, b]),
    }
    for case, J in cases.items():
        method = make(name)
        assert np.all(np.isfinite(outcome(method, J, np.ones(len(J)), training=True))), case
        assert all(np.all(np.isfinite(v)) for v in state(method).values()), case


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_dtype(name):
    single, double = (outcome(make(name), J3, LOSSES, dtype=d) for d in ("float32", "float64"))
    assert (single.dtype, double.dtype) == (tf.float32, tf.float64)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_tasks_does_not_matter(name):
    J, losses, order = J3, LOSSES, np.array([2, 0, 1])
    if name in ("pcgrad", "gradvac"):
        J, losses, order = J2, LOSSES[:2], np.array([1, 0])
    if name == "rlw":
        numbers, present = tf.constant([0.3, 0.7, 0.1]), tf.constant([True, False, True])
        for distribution in ("normal", "uniform", "dirichlet"):
            w = random_weights(numbers, present, distribution).numpy()
            again = random_weights(
                tf.gather(numbers, order), tf.gather(present, order), distribution
            )
            np.testing.assert_allclose(again, w[order], rtol=1e-6)
        return
    one, two = make(name), make(name)
    present = np.arange(len(J)) != 1
    for mask in (None, present) if len(J) > 2 else (None,):
        train(one, J, losses, mask)
        train(two, J[order], losses[order], None if mask is None else mask[order])
        found = outcome(one, J, losses, mask).numpy()
        again = outcome(two, J[order], losses[order], None if mask is None else mask[order])
        expected = found[order] if name in SCALARIZERS + WEIGHTINGS else found
        np.testing.assert_allclose(again, expected, rtol=1e-6, atol=1e-9)


# === Absent tasks ===


@pytest.mark.parametrize("name", NAMES)
def test_the_others_are_weighed_as_if_an_absent_task_were_not_there(name):
    present = tf.constant([True, False, True])
    junk = 1e8 if name in SCALARIZERS else np.nan
    losses = np.where(present, LOSSES, junk)
    J = np.where(present[:, None], J3, np.nan) if name in WEIGHTINGS else J3
    found = outcome(make(name), J, losses, present).numpy()
    if name == "rlw":
        assert found[1] == 0 and np.isclose(found.sum(), 1)
        return
    alone = outcome(make(name), J3[::2], LOSSES[::2]).numpy()
    if name in SCALARIZERS + WEIGHTINGS:
        assert found[1] == 0.0
        found = found[::2]
    np.testing.assert_allclose(found, alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_task_at_all(name):
    method = make(name)
    train(method, J3, LOSSES, epochs=5)  # beyond all warm-ups
    before = state(method)
    nobody = tf.constant([False] * 3)
    assert not np.any(outcome(method, J3, 0 * LOSSES, nobody, training=True))
    if name in SCALARIZERS:  # not a number that spoils the mean of an epoch
        assert abs(method(tf.zeros(3), nobody)) <= 1
    for key, value in state(method).items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_statistics_of_absent_tasks_do_not_change(name):
    method = make(name)
    train(method, J3, LOSSES)
    outcome(method, J3, LOSSES, training=True)
    before = state(method)
    present = tf.constant([True, False, True])
    losses = np.where(present, 0.7 * LOSSES, 5.0)
    outcome(method, -(J3**2), losses, present, training=True)
    method.after_update(tf.constant(losses), tf.constant(losses * [0.5, 0.1, 0.9]), present)
    for key, value in state(method).items():
        if value.ndim:
            np.testing.assert_array_equal(value[1], before[key][1], err_msg=key)
            np.testing.assert_array_equal(value[..., 1], before[key][..., 1], err_msg=key)


# === State ===


@pytest.mark.parametrize("name", NAMES)
def test_state_is_in_the_variables_of_the_layer(name):
    method, again = make(name), make(name)
    train(method, J3, LOSSES)
    assert set(state(method)) == STATE.get(name, set())
    if name in RANDOM:
        assert any("seed" in v.name for v in method.variables)
    outcome(again, J3, LOSSES)
    for variable, value in zip(again.variables, method.variables, strict=True):
        variable.assign(value)
    for _ in range(2):
        found, expected = (outcome(m, J3, LOSSES, training=True) for m in (again, method))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_only_training_changes_statistics(name):
    method = make(name)
    train(method, J3, LOSSES)
    before = state(method)
    outcome(method, random_jacobian(3, 1), 3 * LOSSES)
    for key, value in state(method).items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)
    outcome(method, random_jacobian(3, 1), 3 * LOSSES, training=True)
    has_moved = any(np.any(value != before[key]) for key, value in state(method).items())
    assert has_moved == (name in ("dwa", "dtp", "stch", "gradnorm", "gradvac"))


@pytest.mark.parametrize("name", NAMES)
def test_works_inside_a_function(name):
    eager, compiled = make(name), make(name)
    train(eager, J3, LOSSES, epochs=1)
    train(compiled, J3, LOSSES, epochs=1)
    function = tf.function(lambda present: outcome(compiled, J3, LOSSES, present, training=True))
    for present in ([True, True, True], [True, False, True]):
        expected = outcome(eager, J3, LOSSES, tf.constant(present), training=True)
        np.testing.assert_allclose(function(tf.constant(present)), expected, rtol=1e-9, atol=1e-12)
    for key, value in state(eager).items():
        np.testing.assert_allclose(state(compiled)[key], value, rtol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", GRADIENTS)
def test_native_and_reference_agree(name, monkeypatch):
    def run():
        method = make(name)
        found = [outcome(method, J, LOSSES, training=True) for J in (J3, random_jacobian(3, 2))]
        return [*found, outcome(method, J3, LOSSES, dtype="float32"), *state(method).values()]

    native = run()
    monkeypatch.setattr(_library, "tensorflow_ops", lambda: None)
    for one, two in zip(native, run(), strict=True):
        tolerance = 1e-6 if one.dtype == tf.float32 else 1e-7
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def test_methods_that_return_something_else():
    class Vector(Scalarizer):
        def compute_scalar(self, losses, is_present, training):
            return losses

    class Bare(Weighting):
        def compute_weights(self, statistics):
            return tf.ones([2])

    class Three(Weighting):
        def compute_weights(self, statistics):
            return mtl.balancing.exact(tf.ones([3], tf.float64))

    for method, message in (
        (Vector(), "compute_scalar of Vector must return a scalar"),
        (Bare(), "compute_weights of Bare must return a BalanceReport"),
        (Three(), r"weights of shape \(2,\), one per task. Received: \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            method(tf.eye(2) if isinstance(method, Weighting) else tf.ones([2]))
