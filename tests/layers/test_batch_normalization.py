import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl

CHANNELS = 5
SHAPE = (3, 4, 6, CHANNELS)
MOMENTUM, EPSILON = 0.9, 1e-3


def layers_of_equal_weights(**options):
    """Return this library's layer and that of Keras."""
    rng = np.random.default_rng(1)
    values = [rng.normal(size=CHANNELS), rng.normal(size=CHANNELS), np.ones(2), np.ones(2)]
    values[2:] = rng.normal(size=CHANNELS), rng.uniform(0.5, 2, CHANNELS)
    ours = mtl.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, **options)
    theirs = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, **options)
    for layer in (ours, theirs):
        layer.build((None, None, None, CHANNELS))
        layer.set_weights(values[: len(layer.weights)] if len(layer.weights) == 4 else values[1:])
    return ours, theirs


def features(shape=SHAPE, offset=0.0):
    return np.random.default_rng(0).normal(offset, 2.0, shape).astype(np.float32)


def gradients(layer, x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.cast(layer(x, training=True), tf.float32) * upstream)
    return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])


def test_training_pass_equals_numpy_in_float64():
    layer, _ = layers_of_equal_weights()
    gamma, beta, moving_mean, moving_variance = (w.astype(np.float64) for w in layer.get_weights())
    x = features(offset=100.0)
    y = layer(x, training=True)
    mean, variance = x.astype(np.float64).mean((0, 1, 2)), x.astype(np.float64).var((0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta
    np.testing.assert_allclose(y, expected, atol=1e-4)
    new = layer.get_weights()[2:]
    np.testing.assert_allclose(new[0], 0.9 * moving_mean + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(new[1], 0.9 * moving_variance + 0.1 * variance, rtol=1e-4)


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1, CHANNELS), (2, 1, 7, CHANNELS)])
def test_gradients_and_statistics_equal_those_of_keras(shape):
    ours, theirs = layers_of_equal_weights()
    x, upstream = features(shape), np.random.default_rng(2).normal(size=shape).astype(np.float32)
    for a, b in zip(gradients(ours, x, upstream), gradients(theirs, x, upstream), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1.0, np.abs(b).max()))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_trainable", [True, False])
def test_inference_and_frozen_layers_use_the_moving_statistics(is_trainable):
    ours, theirs = layers_of_equal_weights()
    ours.trainable = theirs.trainable = is_trainable
    x, before = features(), ours.get_weights()
    np.testing.assert_array_equal(
        ours(x, training=not is_trainable), theirs(x, training=not is_trainable)
    )
    np.testing.assert_array_equal(ours.get_weights(), before)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"scale": False}, SHAPE),
        ({"center": False}, SHAPE),
        ({"axis": 1}, (2, CHANNELS, 4, 4)),
        ({"dtype": "float64"}, SHAPE),
        ({}, (4, CHANNELS)),
        ({}, (2, 3, 4, 2, CHANNELS)),
    ],
)
def test_other_cases_are_computed_as_keras_does(options, shape):
    layers = []
    for kind in (mtl.layers.BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(**options)
        layer.build(shape)
        layers.append(layer)
    x = features(shape)
    ours, theirs = (layer(x, training=True) for layer in layers)
    np.testing.assert_array_equal(ours, theirs)


def test_a_mask_leaves_positions_out():
    ours, theirs = layers_of_equal_weights()
    x, mask = features(), np.random.default_rng(0).random(SHAPE[:3]) < 0.5
    np.testing.assert_array_equal(
        ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask)
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_has_statistics_in_float32(policy):
    ours, theirs = layers_of_equal_weights(dtype=policy)
    x = features()
    y = ours(x, training=True)
    assert y.dtype == ours.compute_dtype
    expected = theirs(x, training=True)
    np.testing.assert_allclose(
        tf.cast(y, tf.float32), tf.cast(expected, tf.float32), atol=2e-2 * np.abs(x).max()
    )
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("dtype", "of_input"), [("float32", "float16"), ("float16", "float32")])
def test_the_output_has_the_dtype_of_the_layer(dtype, of_input):
    ours, _ = layers_of_equal_weights(
        dtype=keras.DTypePolicy(f"mixed_{dtype}") if dtype == "float16" else dtype, autocast=False
    )
    assert ours(features().astype(of_input), training=True).dtype == dtype


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_and_unknown_sizes(jit_compile):
    ours, theirs = layers_of_equal_weights()
    signature = [tf.TensorSpec(SHAPE if jit_compile else [None, None, None, CHANNELS])]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def train(x):
        return ours(x, training=True)

    np.testing.assert_allclose(train(features()), theirs(features(), training=True), atol=2e-5)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5)


def test_it_is_saved_and_loaded(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, mtl.layers.batch_norm(image, momentum=0.7, name="norm"))
    model.save(tmp_path / "model.keras")
    layer = keras.models.load_model(tmp_path / "model.keras").get_layer("norm")
    assert (type(layer), layer.momentum) == (mtl.layers.BatchNormalization, 0.7)


def test_the_networks_use_it():
    network = mtl.architectures.SharedTrunk("efficientnet_lite0", {"depth": 1}, (64, 64, 3))
    norms = [n for n in network._flatten_layers() if isinstance(n, keras.layers.BatchNormalization)]
    assert norms and all(type(norm) is mtl.layers.BatchNormalization for norm in norms)
