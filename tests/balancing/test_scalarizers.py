"""Fixed weights and uncertainty against numbers; and what every scalarizer must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl

LOSSES = np.array([1.0, 0.5, 2.0])
SCALARIZERS = [n for n, row in mtl.balancing.TABLE.items() if row.kind == "scalarizer"]


def test_fixed_weights_is_the_weighted_sum():
    assert float(mtl.balancing.FixedWeights()(LOSSES)) == 3.5
    assert float(mtl.balancing.FixedWeights([2, 0, 0.5])(LOSSES)) == 3.0


def test_uncertainty_is_kendalls_sum():
    method = mtl.balancing.Uncertainty()
    method.build((3,))
    v = np.array([-0.5, 0.2, 1.0])
    method.log_variances.assign(v)
    expected = np.sum(np.exp(-v) / 2 * LOSSES + v / 2)
    np.testing.assert_allclose(float(method(LOSSES)), expected, rtol=1e-6)


def test_uncertainty_converges_to_the_log_losses():
    method = mtl.balancing.Uncertainty()
    method.build((3,))
    optimizer = keras.optimizers.SGD(0.5)
    for _ in range(200):
        with tf.GradientTape() as tape:
            value = method(tf.constant(LOSSES, tf.float32))
        optimizer.apply_gradients(
            [(tape.gradient(value, method.log_variances), method.log_variances)]
        )
    np.testing.assert_allclose(method.log_variances, np.log(LOSSES), atol=1e-3)


def test_uncertainty_keeps_the_log_variance_within_ten():
    method = mtl.balancing.Uncertainty(initial_log_variance=-9.9)
    method.build((1,))
    optimizer = keras.optimizers.SGD(100.0)
    optimizer.apply_gradients([(tf.constant([1.0]), method.log_variances)])
    np.testing.assert_allclose(method.log_variances, [-10.0])


@pytest.mark.parametrize("name", SCALARIZERS)
def test_an_absent_task_takes_no_part(name):
    method = mtl.balancing.get(name)
    losses = tf.Variable([1.0, 0.0, 2.0])
    with tf.GradientTape() as tape:
        value = method(losses, tf.constant([True, False, True]))
    gradient = tape.gradient(value, [losses, *method.trainable_variables])
    assert np.isfinite(value)
    for g in gradient:
        assert g[1] == 0.0
        assert np.all(g.numpy()[[0, 2]] != 0.0)


@pytest.mark.parametrize("name", SCALARIZERS)
def test_keeps_float64_and_saves_its_configuration(name):
    method = mtl.balancing.get(name)
    assert method(tf.constant(LOSSES, tf.float64)).dtype == tf.float64
    again = type(method).from_config(method.get_config())
    assert again.get_config() == method.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mtl.balancing.get("pcgradd"), "fixed_weights"),
        (lambda: mtl.balancing.get(3), "Received: 3"),
        (lambda: mtl.balancing.FixedWeights([1, -1]), "not negative"),
        (lambda: mtl.balancing.FixedWeights([1, 2])(LOSSES), "3 tasks"),
        (lambda: mtl.balancing.Uncertainty(initial_log_variance=11), "10"),
    ],
)
def test_bad_arguments_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()
