"""Heads: shapes, and parameters as in the survey's models."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl

HRNET18 = (18, 36, 72, 144)


def pyramid(channels, height=32, width=64):
    """Inputs at strides 1, 2, 4, ..., finest first."""
    return [keras.Input((height >> i, width >> i, c)) for i, c in enumerate(channels)]


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("channels", "expected"), [(1, 73_981), (3, 74_523), (40, 84_550)])
def test_high_resolution_head_has_the_surveys_parameters(channels, expected):
    features = pyramid(HRNET18)
    model = keras.Model(features, mtl.heads.high_resolution_head(features, channels, "head"))
    assert count(model) == expected == 73_710 + 271 * channels


def test_high_resolution_fuse_has_the_surveys_parameters_and_keeps_all_channels():
    features = pyramid(HRNET18)
    model = keras.Model(features, mtl.heads.high_resolution_fuse(features, "fuse"))
    assert count(model) == 73_710
    assert tuple(model.output.shape) == (None, 32, 64, 270)


@pytest.mark.parametrize(("inputs", "fixed"), [(512, 4_722_176), (2048, 16_125_440)])
@pytest.mark.parametrize("channels", [1, 40])
def test_deeplab_head_has_the_surveys_parameters(inputs, fixed, channels):
    features = [keras.Input((8, 12, inputs))]
    model = keras.Model(features, mtl.heads.deeplab_head(features, channels, "head"))
    assert count(model) == fixed + 257 * channels


def test_conv_head_has_64_channels_inside():
    features = pyramid((8, 16, 32))
    model = keras.Model(features, mtl.heads.conv_head(features, 5, "head"))
    laterals = sum(64 * (c + 1) for c in (8, 16, 32))
    assert count(model) == laterals + 2 * (64 * 64 * 9 + 2 * 64) + 5 * 65


@pytest.mark.parametrize(
    ("name", "size"), [("deeplab", (8, 16)), ("high_resolution", (32, 64)), ("conv", (32, 64))]
)
def test_predictions_have_the_resolution_of_the_documented_feature(name, size):
    features = pyramid((4, 8, 16))
    output = mtl.heads.TABLE[name](features, 5, "head")
    assert tuple(output.shape) == (None, *size, 5)


@pytest.mark.parametrize("name", mtl.heads.TABLE)
def test_predictions_are_raw_and_depend_on_the_features(name):
    features = pyramid((4, 8))
    model = keras.Model(features, mtl.heads.TABLE[name](features, 5, "head"))
    r = np.random.default_rng(0)
    maps = [r.standard_normal((2, *x.shape[1:])).astype(np.float32) for x in features]
    prediction = np.asarray(model(maps, training=False))
    assert np.isfinite(prediction).all()
    assert prediction.min() < 0 < prediction.max()
    assert np.abs(prediction[0] - prediction[1]).max() > 0


@pytest.mark.parametrize("name", ["high_resolution", "conv"])
def test_every_feature_is_used(name):
    features = pyramid((4, 8, 16))
    model = keras.Model(features, mtl.heads.TABLE[name](features, 2, "head"))
    r = np.random.default_rng(0)
    maps = [r.standard_normal((1, *x.shape[1:])).astype(np.float32) for x in features]
    before = np.asarray(model(maps, training=False))
    for i in range(len(maps)):
        other = [x + 1 if i == j else x for j, x in enumerate(maps)]
        assert np.abs(np.asarray(model(other, training=False)) - before).max() > 1e-3


def test_high_resolution_head_is_the_formula_of_the_paper():
    """Enlarged with half-pixel centres, concatenated finest first, mixed, normalised, projected."""
    import tensorflow as tf

    features = pyramid((2, 3), 4, 6)
    model = keras.Model(features, mtl.heads.high_resolution_head(features, 2, "head"))
    r = np.random.default_rng(0)
    mix, norm, last = (model.get_layer(f"head.last_layer.{i}") for i in (0, 1, 3))
    for variable in norm.variables:
        variable.assign(r.uniform(0.5, 1.5, variable.shape))
    fine, coarse = (r.standard_normal((2, *x.shape[1:])).astype(np.float32) for x in features)
    x = np.concatenate([fine, tf.image.resize(coarse, (4, 6))], axis=-1)
    x = x @ mix.kernel.numpy()[0, 0] + mix.bias.numpy()
    x = (x - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + 1e-5)
    x = np.maximum(x * norm.gamma.numpy() + norm.beta.numpy(), 0)
    expected = x @ last.kernel.numpy()[0, 0] + last.bias.numpy()
    found = model([fine, coarse], training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.9


@pytest.mark.parametrize("name", mtl.heads.TABLE)
def test_features_whose_sizes_do_not_divide(name):
    features = [keras.Input((9, 8, 4)), keras.Input((5, 4, 8))]
    size = {"deeplab": (5, 4)}.get(name, (9, 8))
    factor = 2 if name == "sub_pixel" else 1
    expected = (None, factor * size[0], factor * size[1], 2)
    assert mtl.heads.TABLE[name](features, 2, "head").shape == expected


def test_layers_have_the_official_names():
    features = pyramid(HRNET18)
    model = keras.Model(features, mtl.heads.high_resolution_head(features, 2, "decoder"))
    names = [layer.name for layer in model.layers if layer.weights]
    assert names == [f"decoder.last_layer.{i}" for i in (0, 1, 3)]
