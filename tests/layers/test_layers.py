"""Convolution padding and resizing as the published models have them."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl


def test_resizing_has_half_pixel_centres():
    image = keras.Input((2, 2, 1))
    model = keras.Model(image, mtl.layers.resize_to(image, 4, 4))
    output = model(np.array([[0, 1], [2, 3]], np.float32)[None, ..., None])[0, ..., 0]
    expected = [
        [0, 0.25, 0.75, 1],
        [0.5, 0.75, 1.25, 1.5],
        [1.5, 1.75, 2.25, 2.5],
        [2, 2.25, 2.75, 3],
    ]
    np.testing.assert_allclose(output, expected)


def test_resizing_to_a_size_that_is_no_multiple():
    """As PyTorch's `interpolate(size=...)`: bilinear of pixel centres, or the pixel before."""
    x = keras.Input((3, 2, 1))
    data = np.arange(6, dtype=np.float32).reshape(1, 3, 2, 1)
    nearest = keras.Model(x, mtl.layers.resize_to(x, 5, 3, interpolation="nearest"))(data)
    np.testing.assert_array_equal(
        nearest[0, ..., 0], data[0, [0, 0, 1, 1, 2]][:, [0, 0, 1]][..., 0]
    )
    bilinear = keras.Model(x, mtl.layers.resize_to(x, 5, 3))(data)
    rows = np.clip((np.arange(5) + 0.5) * 3 / 5 - 0.5, 0, 2)
    columns = np.clip((np.arange(3) + 0.5) * 2 / 3 - 0.5, 0, 1)
    np.testing.assert_allclose(bilinear[0, ..., 0], 2 * rows[:, None] + columns, rtol=1e-6)


@pytest.mark.parametrize(("size", "strides"), [(9, 2), (10, 2), (25, 4), (3, 4), (7, 8)])
def test_pooling_has_the_size_of_strided_convolutions(size, strides):
    x = keras.Input((size, size, 1))
    new = -(-size // strides)
    pooled = mtl.layers.pool_to(x, new, new, keras.layers.AveragePooling2D)
    data = np.ones((1, size, size, 1), np.float32)
    np.testing.assert_array_equal(keras.Model(x, pooled)(data), np.ones((1, new, new, 1)))


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (7, 2)])
def test_strided_windows_are_padded_symmetrically(size, strides):
    image = keras.Input((8, 10, 1))
    output = mtl.layers.conv(image, 1, size, strides, kernel_initializer="ones")
    data = np.random.default_rng(0).standard_normal((8, 10)).astype(np.float32)
    padded = np.pad(data, size // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).sum((2, 3))
    result = keras.Model(image, output)(data[None, ..., None])[0, ..., 0]
    np.testing.assert_allclose(result, windows[::strides, ::strides], rtol=1e-4, atol=1e-5)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        mtl.layers.conv(keras.Input((8, 8, 1)), 1, 2)


def test_default_initialisation_stays_within_the_fan_in_bound():
    image = keras.Input((8, 8, 16))
    model = keras.Model(image, mtl.layers.conv(image, 64, 3, use_bias=True))
    bound = 1 / np.sqrt(16 * 9)
    for variable in model.trainable_variables:
        values = np.abs(variable.numpy())
        assert 0.9 * bound < values.max() <= bound
