"""What every metric must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_tf import metrics
from tests.metrics.cases import CASES, assert_results, feed, inputs

every_metric = pytest.mark.parametrize("name", CASES)


def test_every_public_metric_has_a_case():
    public = {getattr(metrics, name) for name in metrics.__all__ if name.endswith("Metrics")}
    assert {type(case.metric()) for case in CASES.values()} == public


@every_metric
def test_results_are_the_ones_with_a_direction(name):
    results = feed(CASES[name].metric(), *inputs(name))
    benchmark = {"ods_f", "ois_f", "ap"}  # of edges, no streaming metric
    assert results.keys() == metrics.HIGHER_IS_BETTER[CASES[name].task].keys() - benchmark
    assert metrics.MAIN_METRICS[CASES[name].task] in results


@every_metric
def test_sums_are_float64(name):
    assert {variable.dtype for variable in CASES[name].metric().variables} == {"float64"}


@every_metric
@pytest.mark.parametrize("sizes", [[1] * 6, [4, 2]])
def test_batches_equal_one_batch(name, sizes):
    y_true, y_pred, mask = inputs(name)
    mask[4:] *= mask[4:].cumsum(axis=1) < 3  # batches of different weight
    expected = feed(CASES[name].metric(), y_true, y_pred, mask)
    assert_results(feed(CASES[name].metric(), y_true, y_pred, mask, sizes), expected, rtol=1e-9)


@every_metric
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 255.0, -1.0])
def test_invalid_pixels_have_no_influence(name, garbage):
    y_true, y_pred, mask = inputs(name)
    expected = feed(CASES[name].metric(), y_true, y_pred, mask)
    y_true[mask == 0] = y_pred[mask == 0] = garbage
    assert feed(CASES[name].metric(), y_true, y_pred, mask) == expected


@every_metric
def test_valid_pixels_have_influence(name):
    y_true, y_pred, mask = inputs(name)
    expected = feed(CASES[name].metric(), y_true, y_pred, mask)
    assert feed(CASES[name].metric(), y_true, y_pred) != expected


@every_metric
def test_no_mask_is_a_mask_of_ones(name):
    y_true, y_pred, mask = inputs(name)
    expected = feed(CASES[name].metric(), y_true, y_pred, np.ones_like(mask))
    assert feed(CASES[name].metric(), y_true, y_pred) == expected


@every_metric
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16"])
def test_mask_of_any_dtype(name, dtype):
    y_true, y_pred, mask = inputs(name)
    expected = feed(CASES[name].metric(), y_true, y_pred, mask)
    assert feed(CASES[name].metric(), y_true, y_pred, mask.astype(dtype)) == expected


@every_metric
def test_half_precision_predictions(name):
    y_true, y_pred, mask = inputs(name)
    y_pred = y_pred.astype(np.float16)
    expected = feed(CASES[name].metric(), y_true, y_pred.astype(np.float32), mask)
    assert feed(CASES[name].metric(), y_true, y_pred, mask) == expected


@every_metric
def test_without_a_valid_pixel_results_are_0(name):
    metric = CASES[name].metric()
    assert set(map(float, metric.result().values())) == {0.0}
    y_true, y_pred, mask = inputs(name)
    assert set(feed(metric, y_true, y_pred, 0 * mask).values()) == {0.0}


@every_metric
def test_batch_without_a_valid_pixel_changes_nothing(name):
    metric = CASES[name].metric()
    expected = feed(metric, *inputs(name))
    y_true, y_pred, mask = inputs(name, seed=1)
    assert feed(metric, y_true, y_pred, 0 * mask) == expected


@every_metric
def test_reset_state_starts_anew(name):
    metric = CASES[name].metric()
    feed(metric, *inputs(name, seed=1))
    metric.reset_state()
    assert feed(metric, *inputs(name)) == feed(CASES[name].metric(), *inputs(name))


@every_metric
def test_traced_with_an_unknown_batch_size_equals_eager(name):
    shape = (None, 8, 9)
    y_true, y_pred, mask = inputs(name)
    metric = CASES[name].metric()
    update = tf.function(
        metric.update_state,
        input_signature=[
            tf.TensorSpec((*shape, y_true.shape[-1])),
            tf.TensorSpec((*shape, y_pred.shape[-1])),
            tf.TensorSpec(shape),
        ],
    )
    for part in (slice(4), slice(4, 6)):
        update(y_true[part], y_pred[part], mask[part])
    results = {key: float(value) for key, value in tf.function(metric.result)().items()}
    assert_results(results, feed(CASES[name].metric(), y_true, y_pred, mask), rtol=1e-6)


@every_metric
@pytest.mark.parametrize("crop", [np.s_[:5], np.s_[:, :7], np.s_[:, :, :8], np.s_[0]])
def test_prediction_of_another_size_is_refused(name, crop):
    y_true, y_pred, _ = inputs(name)
    with pytest.raises(ValueError, match=r"Received.*\(6, 8, 9, "):
        CASES[name].metric().update_state(y_true, y_pred[crop])


@every_metric
@pytest.mark.parametrize("shape", [(8, 9), (6, 8, 9, 1), (6, 1, 1), (6, 9, 8)])
def test_mask_of_another_shape_is_refused(name, shape):
    y_true, y_pred, _ = inputs(name)
    with pytest.raises(ValueError, match=r"Received.*\(6, 8, 9"):
        CASES[name].metric().update_state(y_true, y_pred, np.ones(shape, np.float32))


@every_metric
@pytest.mark.parametrize("change", [-1, 1])
def test_prediction_with_other_channels_is_refused(name, change):
    y_true, y_pred, _ = inputs(name)
    y_pred = np.repeat(y_pred[..., :1], max(y_pred.shape[-1] + change, 2), axis=-1)
    with pytest.raises(ValueError, match="Received"):
        CASES[name].metric().update_state(y_true, y_pred)


@every_metric
def test_serialisation_round_trip(name):
    metric = CASES[name].metric()
    metric.name = "given"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.name == "given"
    assert again.get_config() == type(metric).from_config(metric.get_config()).get_config()
    assert feed(again, *inputs(name)) == feed(metric, *inputs(name))


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        (metrics.SegmentationMetrics, {"num_classes": 5, "skip_background_images": True}),
        (metrics.EdgeMetrics, {"threshold": 0.3, "tolerance": 0.01}),
    ],
)
def test_configuration_holds_the_arguments(metric, arguments):
    config = metric.from_config(metric(**arguments).get_config()).get_config()
    assert arguments.items() <= config.items()
