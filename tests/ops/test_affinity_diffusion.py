"""Affinity diffusion: what `test_feature_ops.py` does not see of it."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.ops.implementations import bindings, needs_native


def maps(count, shape=(1, 2, 3, 4), seed=0):
    r = np.random.default_rng(seed)
    return [tf.constant(r.standard_normal(shape), tf.float32) for _ in range(count)]


def test_equal_queries_and_keys_mix_all_positions_alike():
    ones, values = tf.ones((1, 2, 3, 4)), maps(1)[0]
    output = mtl.ops.affinity_diffusion([ones], [ones], values, [1.0])
    mean = tf.reduce_mean(values, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(output, tf.broadcast_to(mean, values.shape), rtol=1e-5, atol=1e-6)


def test_far_keys_leave_every_position_its_own_value():
    """Scores of a hundred times a hundred overflow no exponential."""
    places = 100.0 * tf.reshape(tf.eye(6), (1, 2, 3, 6))
    values = maps(1)[0]
    output = mtl.ops.affinity_diffusion([places], [places], values, [2.0])
    np.testing.assert_allclose(output, 2 * values, rtol=1e-6)


def test_one_tensor_as_queries_and_keys_gets_both_gradients():
    (x,), (values,), mix = maps(1), maps(1, seed=1), tf.constant([0.7])
    for ops in (mtl.ops, mtl.ops.reference):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(ops.affinity_diffusion([x], [x], values, mix) ** 2)
        found = tape.gradient(total, x)
        if ops is mtl.ops:
            expected = found
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@needs_native
def test_memory_grows_with_positions_not_with_pairs():
    """7000 positions: a matrix of pairs would have 49 million numbers."""
    x, (values,) = maps(1, (1, 70, 100, 4)), maps(1, (1, 70, 100, 8))
    function = tf.function(lambda: mtl.ops.affinity_diffusion(x, x, values, [1.0]))
    graph = function.get_concrete_function().graph
    sizes = [y.shape.num_elements() or 0 for op in graph.get_operations() for y in op.outputs]
    assert max(sizes) <= values.shape.num_elements()
    assert np.isfinite(function()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda m: ([], [], m[0], []), "at least one"),
        (lambda m: (m[:2], m[:1], m[2], [1, 1]), "as many. Received: 2 and 1"),
        (lambda m: (m[:1], [m[1][:, :1]], m[2], [1.0]), "keys must have the queries' shape"),
        (lambda m: (m[:1], m[1:2], m[2][:, :1], [1.0]), "keys must have the queries' shape"),
        (lambda m: (m[:1], m[1:2], tf.cast(m[2], "float16"), [1.0]), "float16"),
        (lambda m: (m[:1], m[1:2], m[2], [1.0, 2.0]), r"shape \[1\]"),
        (lambda m: ([tf.zeros(3)], [tf.zeros(3)], m[2], [1.0]), r"\[B, H, W, D\]"),
    ],
)
def test_bad_input_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtl.ops.affinity_diffusion(*arguments(maps(3)))


@needs_native
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 4, 3), (1, 4, 3), (1, 4, 2)], "as many as keys"),
        ([(1, 4, 3), (1, 5, 3), (1, 4, 2), (1,)], r"expected \[1, 4, 3\]"),
        ([(1, 4, 3), (1, 4, 3), (1, 5, 2), (1,)], r"values: expected \[1, 4, 2\]"),
        ([(1, 4, 3), (1, 4, 3), (1, 4, 2), (2,)], r"mix: expected float32 \[1\]"),
        ([(1, 4, 0), (1, 4, 0), (1, 4, 2), (1,)], "at least one channel"),
        ([(4,), (4,), (4,), (1,)], "received"),
        ([(1, 4, 3)] * 35 + [(17,)], "at most 16"),
    ],
)
def test_kernels_refuse_what_does_not_fit(shapes, message):
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        bindings().affinity_diffusion(arrays)
