"""What every loss must do."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_tf import losses
from tests.losses.cases import CASES, inputs, value_and_gradient

GARBAGE = [np.nan, np.inf, 255.0, -1.0]
every_loss = pytest.mark.parametrize("name", CASES)


def test_every_public_loss_has_a_case():
    public = {getattr(losses, name) for name in losses.__all__ if name[0].isupper()}
    final = {cls for cls in public if not inspect.isabstract(cls)}
    assert {type(case.loss()) for case in CASES.values()} == final


@every_loss
def test_batch_without_a_valid_pixel_gives_zero_and_zero_gradient(name):
    y_true, y_pred, mask = inputs(name)
    value, gradient = value_and_gradient(
        CASES[name].loss(), np.full_like(y_true, np.nan), y_pred, 0 * mask
    )
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0)


@every_loss
@pytest.mark.parametrize("garbage", GARBAGE)
def test_targets_of_invalid_pixels_have_no_influence(name, garbage):
    y_true, y_pred, mask = inputs(name)
    expected, expected_gradient = value_and_gradient(CASES[name].loss(), y_true, y_pred, mask)
    y_true[mask == 0] = garbage
    value, gradient = value_and_gradient(CASES[name].loss(), y_true, y_pred, mask)
    assert value == expected
    np.testing.assert_array_equal(gradient, expected_gradient)
    assert np.all(gradient[mask == 0] == 0)
    assert np.all(np.any(gradient[mask > 0] != 0, axis=-1))


@every_loss
def test_finite_predictions_of_invalid_pixels_have_no_influence(name):
    y_true, y_pred, mask = inputs(name)
    expected = CASES[name].loss()(y_true, y_pred, mask)
    y_pred[mask == 0] = 1e4
    assert CASES[name].loss()(y_true, y_pred, mask) == expected


@every_loss
def test_only_the_ratios_of_weights_count(name):
    y_true, y_pred, mask = inputs(name)
    loss = CASES[name].loss()
    np.testing.assert_allclose(
        loss(y_true, y_pred, mask / 4), loss(y_true, y_pred, mask), rtol=1e-6
    )


@every_loss
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16"])
def test_mask_of_any_dtype(name, dtype):
    y_true, y_pred, mask = inputs(name)
    loss = CASES[name].loss()
    assert loss(y_true, y_pred, mask.astype(dtype)) == loss(y_true, y_pred, mask)


@every_loss
@pytest.mark.parametrize("shape", [(2,), (2, 5, 7, 1), (2, 1, 1), (2, 7, 5)])
def test_mask_of_another_shape_is_refused(name, shape):
    y_true, y_pred, _ = inputs(name)
    with pytest.raises(ValueError, match=r"Received.*\(2, 5, 7"):
        CASES[name].loss()(y_true, y_pred, np.ones(shape, np.float32))


@every_loss
@pytest.mark.parametrize("crop", [np.s_[:, :4], np.s_[:, :, :4], np.s_[:1]])
def test_prediction_of_another_size_is_refused(name, crop):
    y_true, y_pred, _ = inputs(name)
    with pytest.raises(ValueError, match="Received"):
        CASES[name].loss()(y_true, y_pred[crop])


@pytest.mark.parametrize("name", ["depth", "normals", "edges"])
def test_prediction_with_other_channels_is_refused(name):
    y_true, y_pred, _ = inputs(name)
    channels = 1 if name == "normals" else 2
    with pytest.raises(ValueError):
        CASES[name].loss()(y_true, np.repeat(y_pred[..., :1], channels, axis=-1))


@every_loss
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_predictions_give_the_float32_loss(name, dtype):
    y_true, y_pred, mask = inputs(name)
    half = tf.cast(20 * y_pred, dtype)
    value, gradient = value_and_gradient(CASES[name].loss(), y_true, half, mask)
    assert value.dtype == np.float32
    assert value == CASES[name].loss()(y_true, tf.cast(half, tf.float32), mask)
    assert np.all(np.isfinite(gradient.astype(np.float32)))


@every_loss
def test_large_float16_predictions_give_a_finite_loss(name):
    y_true, y_pred, mask = inputs(name)
    half = tf.cast(np.sign(y_pred) * 65504.0, tf.float16)
    assert np.isfinite(CASES[name].loss()(y_true, half, mask))


@every_loss
@pytest.mark.parametrize("height", [5, None])
def test_traced_with_unknown_shapes_equals_eager(name, height):
    y_true, y_pred, mask = inputs(name)
    loss = CASES[name].loss()
    traced = tf.function(
        loss,
        input_signature=[
            tf.TensorSpec((None, height, 7, y_true.shape[-1])),
            tf.TensorSpec((None, None, None, y_pred.shape[-1])),
            tf.TensorSpec((None, None, None)),
        ],
    )
    np.testing.assert_allclose(traced(y_true, y_pred, mask), loss(y_true, y_pred, mask), rtol=1e-6)


@every_loss
def test_serialisation_round_trip(name):
    y_true, y_pred, mask = inputs(name)
    loss = CASES[name].loss()
    loss.name = "given"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss)
    assert again.name == "given"
    assert again(y_true, y_pred, mask) == loss(y_true, y_pred, mask)
    assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()


@every_loss
def test_serves_as_loss_of_a_plain_keras_model(name):
    y_true, _, mask = inputs(name)
    x = np.random.default_rng(9).standard_normal((*mask.shape, 3)).astype(np.float32)
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), keras.layers.Conv2D(CASES[name].channels, 1)]
    )
    before = CASES[name].loss()(y_true, model(x), mask)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=CASES[name].loss())
    history = model.fit(x, y_true, sample_weight=mask, batch_size=2, verbose=0).history
    np.testing.assert_allclose(history["loss"], [before], rtol=1e-5)
    assert CASES[name].loss()(y_true, model(x), mask) < before
