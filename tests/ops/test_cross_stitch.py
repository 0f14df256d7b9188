"""Cross-stitch: values and gradients against float64 NumPy, in every dtype and mode."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl

SHAPE = (2, 3, 5, 4)
TOLERANCES = {"float32": 1e-6, "bfloat16": 2e-2, "float16": 3e-3}


def random_case(num_tasks, channels, seed=0, shape=SHAPE):
    """Features, weights and output gradients that bfloat16 represents exactly, float64."""
    r = np.random.default_rng(seed)

    def draw(*size):
        return r.integers(-64, 65, size).astype(np.float64) / 32

    upstream = [draw(*shape) for _ in range(num_tasks)]
    features = [draw(*shape) for _ in range(num_tasks)]
    return features, draw(num_tasks, num_tasks, channels), upstream


def truth(features, weights, upstream):
    """Outputs, gradients of the features, gradient of the weights."""
    x, g = np.stack(features), np.stack(upstream)
    whole = np.broadcast_to(weights, (*weights.shape[:2], x.shape[-1]))
    outputs = np.einsum("ijc,jbhwc->ibhwc", whole, x)
    of_features = np.einsum("ijc,ibhwc->jbhwc", whole, g)
    of_weights = np.einsum("ibhwc,jbhwc->ijc", g, x)
    if weights.shape[-1] == 1:
        of_weights = of_weights.sum(axis=-1, keepdims=True)
    return outputs, of_features, of_weights


def values_and_gradients(features, weights, upstream):
    with tf.GradientTape() as tape:
        tape.watch([*features, weights])
        outputs = mtl.ops.cross_stitch(features, weights)
    found = tape.gradient(outputs, [*features, weights], output_gradients=upstream)
    return outputs, found[:-1], found[-1]


def close(actual, expected, tolerance):
    actual = np.stack([tf.cast(x, tf.float64) for x in actual])
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def compare(found, expected, tolerance):
    for actual, wanted in zip(found[:2], expected[:2], strict=True):
        close(actual, wanted, tolerance)
    close([found[2]], expected[2][None], tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("is_scalar", [False, True])
@pytest.mark.parametrize("num_tasks", [1, 2, 3, 4, 5])
def test_values_and_gradients_equal_the_truth(num_tasks, is_scalar, dtype):
    case = random_case(num_tasks, 1 if is_scalar else SHAPE[-1], seed=num_tasks)
    features, weights, upstream = case
    found = values_and_gradients(
        [tf.constant(x, dtype) for x in features],
        tf.constant(weights, tf.float32),
        [tf.constant(g, dtype) for g in upstream],
    )
    assert all(y.dtype == dtype for y in (*found[0], *found[1]))
    assert found[2].dtype == tf.float32
    compare(found, truth(*case), TOLERANCES[dtype])


def test_out_i_reads_row_i():
    features = [tf.fill((1, 1, 1, 1), 1.0), tf.fill((1, 1, 1, 1), 10.0)]
    first, second = mtl.ops.cross_stitch(features, [[[1.0], [2.0]], [[3.0], [4.0]]])
    assert (float(tf.squeeze(first)), float(tf.squeeze(second))) == (21.0, 43.0)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("jit", [False, True])
def test_graph_with_unknown_batch_and_xla(jit, dtype):
    case = random_case(3, SHAPE[-1], seed=1)
    size = SHAPE if jit else (None, *SHAPE[1:])
    maps = [tf.TensorSpec(size, dtype)] * 3
    signature = (maps, tf.TensorSpec((3, 3, SHAPE[-1]), tf.float32), maps)
    function = tf.function(values_and_gradients, input_signature=signature, jit_compile=jit)
    features, weights, upstream = case
    found = function(
        [tf.constant(x, dtype) for x in features],
        tf.constant(weights, tf.float32),
        [tf.constant(g, dtype) for g in upstream],
    )
    compare(found, truth(*case), TOLERANCES[dtype])


def test_features_of_any_rank_and_an_empty_batch():
    flat = mtl.ops.cross_stitch([tf.ones((3, 4)), tf.zeros((3, 4))], tf.ones((2, 2, 4)))
    np.testing.assert_array_equal(flat, np.ones((2, 3, 4)))
    empty = mtl.ops.cross_stitch([tf.ones((0, 2, 2, 4))] * 2, tf.ones((2, 2, 1)))
    assert [tuple(x.shape) for x in empty] == [(0, 2, 2, 4)] * 2


@pytest.mark.parametrize(
    ("features", "weights", "message"),
    [
        ([], np.ones((0, 0, 1)), "at least one"),
        ([np.ones((1, 2, 2, 4)), np.ones((1, 2, 2, 3))], np.ones((2, 2, 1)), "one shape and dtype"),
        (
            [np.ones((1, 2, 2, 4), np.float32), np.ones((1, 2, 2, 4), np.float16)],
            np.ones((2, 2, 1)),
            "float16",
        ),
        ([np.ones((1, 2, 2, 4))] * 2, np.ones((2, 2, 3)), r"C = 4 channels.*\(2, 2, 3\)"),
        ([np.ones((1, 2, 2, 4))] * 2, np.ones((3, 3, 4)), r"K = 2 features"),
        ([np.ones((1, 2, 2, 4))] * 2, np.ones((2, 3, 4)), r"K = 2 features"),
        ([np.ones((1, 2, 2, 4))] * 2, np.ones((2, 2)), r"\[K, K, C\] or \[K, K, 1\]"),
    ],
)
def test_bad_input_is_told(features, weights, message):
    with pytest.raises(ValueError, match=message):
        mtl.ops.cross_stitch(features, weights)
