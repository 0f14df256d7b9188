"""Residual blocks: shapes, parameters, where the strides and the dilations are."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl


def build(block, inputs, outputs, size=(8, 12), **kwargs):
    x = keras.Input((*size, inputs))
    return keras.Model(x, block(x, outputs, name="block", **kwargs))


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def basic_parameters(inputs, outputs, shortcut):
    convolutions = 9 * inputs * outputs + 9 * outputs**2
    return convolutions + 4 * outputs + shortcut * (inputs * outputs + 2 * outputs)


def bottleneck_parameters(inputs, outputs, shortcut):
    inner = outputs // 4
    convolutions = inputs * inner + 9 * inner**2 + inner * outputs
    norms = 2 * (inner + inner + outputs)
    return convolutions + norms + shortcut * (inputs * outputs + 2 * outputs)


@pytest.mark.parametrize(
    ("inputs", "outputs", "strides"), [(8, 8, 1), (8, 16, 1), (8, 8, 2), (8, 16, 2)]
)
@pytest.mark.parametrize(
    ("block", "expected"),
    [(mtl.layers.basic_block, basic_parameters), (mtl.layers.bottleneck, bottleneck_parameters)],
)
def test_shape_and_parameters(block, expected, inputs, outputs, strides):
    model = build(block, inputs, outputs, strides=strides)
    assert tuple(model.output.shape) == (None, 8 // strides, 12 // strides, outputs)
    shortcut = strides > 1 or inputs != outputs
    assert count(model) == expected(inputs, outputs, shortcut)
    names = {layer.name for layer in model.layers}
    assert ("block.downsample.0" in names) == shortcut


@pytest.mark.parametrize("block", [mtl.layers.basic_block, mtl.layers.bottleneck])
def test_odd_sizes_are_rounded_up(block):
    assert tuple(build(block, 8, 8, (7, 9), strides=2).output.shape) == (None, 4, 5, 8)


@pytest.mark.parametrize("block", [mtl.layers.basic_block, mtl.layers.bottleneck])
def test_adds_to_its_input_what_the_last_normalisation_gives(block):
    model = build(block, 8, 8)
    last = [layer for layer in model.layers if hasattr(layer, "gamma")][-1]
    x = np.random.default_rng(0).standard_normal((2, 8, 12, 8)).astype(np.float32)
    assert np.abs(model(x) - np.maximum(x, 0)).max() > 1e-3
    last.gamma.assign(0 * last.gamma)
    last.beta.assign(0.5 + 0 * last.beta)
    np.testing.assert_allclose(model(x), np.maximum(x + 0.5, 0), rtol=1e-6)


def strides_of(model):
    return {
        layer.name.removeprefix("block."): layer.strides[0]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


def test_strides_sit_on_the_3x3_convolution_or_on_the_first():
    model = build(mtl.layers.basic_block, 8, 16, strides=2)
    assert strides_of(model) == {"conv1": 2, "conv2": 1, "downsample.0": 2}
    model = build(mtl.layers.bottleneck, 8, 16, strides=2)
    assert strides_of(model) == {"conv1": 1, "conv2": 2, "conv3": 1, "downsample.0": 2}
    model = build(mtl.layers.bottleneck, 8, 16, strides=2, strides_on_first=True)
    assert strides_of(model) == {"conv1": 2, "conv2": 1, "conv3": 1, "downsample.0": 2}


def test_strides_on_the_first_convolution_change_neither_shape_nor_parameters():
    after, before = (
        build(mtl.layers.bottleneck, 8, 16, strides=2, strides_on_first=first)
        for first in (False, True)
    )
    assert after.output.shape == before.output.shape
    assert [w.shape for w in after.weights] == [w.shape for w in before.weights]
    before.set_weights(after.get_weights())
    x = np.random.default_rng(0).standard_normal((1, 8, 12, 8)).astype(np.float32)
    assert np.abs(after(x) - before(x)).max() > 1e-3


def reach(model):
    """How far left and right of the middle the output depends on the input; weights all one."""
    for variable in model.variables:
        if variable.name == "kernel":
            variable.assign(1 + 0 * variable)
    x = np.zeros((2, 1, 41, 4), np.float32)
    x[1, 0, 20] = 1.0
    y = np.asarray(model(x, training=False))
    (touched,) = np.nonzero(np.abs(y[1] - y[0]).max((0, 2)) > 0)
    return sorted(int(i) - 20 for i in touched)


def test_dilations_of_a_basic_block():
    model = build(mtl.layers.basic_block, 4, 4, (1, 41), dilations=(2, 5))
    assert reach(model) == [-7, -5, -3, -2, 0, 2, 3, 5, 7]
    assert tuple(model.output.shape) == (None, 1, 41, 4)


def test_only_the_first_dilation_counts_in_a_bottleneck():
    model = build(mtl.layers.bottleneck, 4, 4, (1, 41), dilations=(3, 7))
    assert reach(model) == [-3, 0, 3]


def test_momentum_is_that_of_every_normalisation():
    for block in (mtl.layers.basic_block, mtl.layers.bottleneck):
        model = build(block, 8, 16, strides=2, momentum=0.75)
        norms = [layer for layer in model.layers if hasattr(layer, "gamma")]
        assert len(norms) >= 3
        assert {layer.momentum for layer in norms} == {0.75}
        assert {layer.epsilon for layer in norms} == {1e-5}
