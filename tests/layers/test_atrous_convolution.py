"""Convolutions with spaced taps against Keras' own, values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.layers import atrous_convolution


def random(*shape, dtype="float32"):
    return tf.constant(np.random.default_rng(sum(shape)).standard_normal(shape), dtype)


def by_keras(x, kernel, dilation):
    return keras.ops.conv(x, kernel, padding="same", dilation_rate=dilation)


def with_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
        loss = tf.reduce_sum(y * random(*y.shape, dtype=y.dtype))
    return [y, *tape.gradient(loss, inputs)]


@pytest.mark.parametrize("size", [(9, 14), (12, 5), (1, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 2), (4, 4), (5, 3), (12, 12), (36, 36)])
@pytest.mark.parametrize("kernel_size", [(3, 3), (5, 3), (1, 1)])
def test_values_and_gradients_are_those_of_keras(size, dilation, kernel_size):
    x, kernel = random(2, *size, 4), random(*kernel_size, 4, 3)
    ours = with_gradients(lambda *a: mtl.layers.atrous_conv2d(*a, dilation), x, kernel)
    theirs = with_gradients(lambda *a: by_keras(*a, dilation), x, kernel)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_types_without_a_kernel_of_their_own_have_gradients_too(dtype):
    x, kernel = random(1, 9, 11, 2, dtype=dtype), random(3, 3, 2, 3, dtype=dtype)
    ours = with_gradients(lambda *a: mtl.layers.atrous_conv2d(*a, (2, 2)), x, kernel)
    exact = [tf.cast(a, "float64") for a in (x, kernel)]
    theirs = with_gradients(lambda *a: by_keras(*a, (2, 2)), *exact)
    tolerance = {"float64": 1e-12, "float16": 0.02, "bfloat16": 0.15}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(tf.cast(a, "float64"), b, rtol=tolerance, atol=5 * tolerance)


def test_without_kernels_for_dilated_gradients_keras_way_is_taken(monkeypatch):
    x, kernel = random(2, 9, 11, 4), random(3, 3, 4, 3)
    expected = with_gradients(lambda *a: mtl.layers.atrous_conv2d(*a, (3, 3)), x, kernel)
    monkeypatch.setattr(atrous_convolution, "_has_gradients", lambda _: False)
    found = with_gradients(lambda *a: mtl.layers.atrous_conv2d(*a, (3, 3)), x, kernel)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_taps_that_see_only_padding_are_not_computed():
    @tf.function
    def output(x, kernel):
        return mtl.layers.atrous_conv2d(x, kernel, (12, 12))

    graph = output.get_concrete_function(random(1, 12, 20, 2), random(3, 3, 2, 2)).graph
    (used,) = [op.inputs[1].shape for op in graph.get_operations() if op.type == "Conv2D"]
    assert used == (1, 3, 2, 2)  # a column of taps is out of reach, a row is not


def test_a_map_of_unknown_size_keeps_all_taps():
    image = keras.Input((None, None, 2))
    layer = mtl.layers.AtrousConv2D(3, 3, padding="same", dilation_rate=6)
    model = keras.Model(image, layer(image))
    x = random(1, 5, 15, 2)
    expected = by_keras(x, layer.kernel, 6) + layer.bias
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_a_compiled_graph_has_the_same_values():
    x, kernel = random(2, 9, 14, 4), random(3, 3, 4, 3)
    step = tf.function(
        lambda *a: with_gradients(lambda *b: mtl.layers.atrous_conv2d(*b, (4, 4)), *a),
        jit_compile=True,
    )
    expected = with_gradients(lambda *a: by_keras(*a, (4, 4)), x, kernel)
    for a, b in zip(step(x, kernel), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_layer_is_saved_and_reloaded(tmp_path):
    image = keras.Input((9, 14, 4))
    layer = mtl.layers.AtrousConv2D(3, 3, padding="same", dilation_rate=4)
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "model.keras")
    x = random(2, 9, 14, 4)
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(x), model(x))


@pytest.mark.parametrize("arguments", [{"padding": "valid"}, {"strides": 2, "dilation_rate": 1}])
def test_what_the_layer_does_not_do_is_refused(arguments):
    with pytest.raises(ValueError, match="AtrousConv2D"):
        mtl.layers.AtrousConv2D(3, 3, **{"padding": "same", "dilation_rate": 2} | arguments)
