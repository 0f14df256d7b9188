"""Cross-stitch: what `test_feature_ops.py` does not see of it."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl


def test_out_i_reads_row_i():
    features = [tf.fill((1, 1, 1, 1), 1.0), tf.fill((1, 1, 1, 1), 10.0)]
    first, second = mtl.ops.cross_stitch(features, [[[1.0], [2.0]], [[3.0], [4.0]]])
    assert (float(tf.squeeze(first)), float(tf.squeeze(second))) == (21.0, 43.0)


def test_one_number_a_pair():
    features, pairs = [tf.fill((2, 3), 1.0), tf.fill((2, 3), 10.0)], tf.constant([[1.0, 2], [3, 4]])
    outputs = mtl.ops.cross_stitch(features, pairs)
    np.testing.assert_array_equal(outputs, mtl.ops.cross_stitch(features, pairs[:, :, None]))


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
        ([np.ones((1, 2, 2, 4))] * 2, np.ones((4,)), r"\[K, K, C\], \[K, K, 1\] or \[K, K\]"),
        ([np.ones((1, 2, 2, 4), np.int32)] * 2, np.ones((2, 2)), "floating point.*int32"),
    ],
)
def test_bad_input_is_told(features, weights, message):
    with pytest.raises(ValueError, match=message):
        mtl.ops.cross_stitch(features, weights)
