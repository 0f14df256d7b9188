"""Attention-guided distillation: what `test_feature_ops.py` does not see of it."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.feature_ops import sigmoid
from tests.ops.implementations import bindings, needs_native

ChannelSlice = mtl.ops.ChannelSlice


def maps(count, shape=(1, 2, 2, 3), seed=0):
    r = np.random.default_rng(seed)
    return [tf.constant(r.standard_normal(shape), tf.float32) for _ in range(count)]


def kinds_of_ops(function, *tensors):
    graph = tf.function(function).get_concrete_function(*tensors).graph
    return {operation.type for operation in graph.get_operations()}


def test_one_gate_half_open():
    feature, value = tf.fill((1, 1, 1, 2), 1.0), tf.fill((1, 1, 1, 2), 4.0)
    output = mtl.ops.attention_distillation(feature, [tf.zeros((1, 1, 1, 2))], [value])
    np.testing.assert_array_equal(output, tf.fill((1, 1, 1, 2), 3.0))


def test_targets_may_hear_different_numbers_of_tasks():
    a, b, gate, value = maps(4)
    first, second = mtl.ops.attention_distillation([a, b], [[gate], []], [[value], []])
    np.testing.assert_allclose(first, a + sigmoid(gate.numpy()) * value, rtol=1e-6)
    np.testing.assert_array_equal(second, b)


@needs_native
def test_slices_that_are_no_partition_are_right_too():
    """Overlapping channels, or some that nobody uses, are left to TensorFlow."""
    (feature,), (packed,) = maps(1), maps(1, (1, 2, 2, 9))

    def output(feature, packed):
        parts = [ChannelSlice(packed, 1)], [ChannelSlice(packed, 2)]
        return mtl.ops.attention_distillation(feature, *parts)

    assert "Mtl>AttentionDistillation" not in kinds_of_ops(output, feature, packed)
    with tf.GradientTape() as tape:
        tape.watch(packed)
        y = output(feature, packed)
    x = packed.numpy()
    np.testing.assert_allclose(y, feature + sigmoid(x[..., 1:4]) * x[..., 2:5], rtol=1e-5)
    gradient = tape.gradient(y, packed)
    assert np.all(gradient[..., 5:] == 0) and np.all(gradient[..., 0] == 0)
    assert np.all(gradient[..., 1:5] != 0)


@needs_native
def test_packed_sources_are_not_copied():
    feature, (packed,) = maps(1), maps(1, (1, 2, 2, 6))

    def output(feature, packed):
        parts = [ChannelSlice(packed, 0)], [ChannelSlice(packed, 3)]
        with tf.GradientTape() as tape:
            tape.watch(packed)
            y = mtl.ops.attention_distillation(feature, *parts)
        return tape.gradient(y, packed)

    kinds = kinds_of_ops(output, feature[0], packed)
    assert {"Mtl>AttentionDistillation", "Mtl>AttentionDistillationGrad"} <= kinds
    assert not kinds & {"StridedSlice", "Concat", "ConcatV2", "Split", "SplitV", "Pad"}


def test_seventeen_sources_are_right_too():
    feature, gates, values = maps(1)[0], maps(17, seed=1), maps(17, seed=2)
    output = mtl.ops.attention_distillation(feature, gates, values)
    messages = [sigmoid(g.numpy()) * v for g, v in zip(gates, values, strict=True)]
    np.testing.assert_allclose(output, feature + sum(messages), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda m: ([], [], []), "at least one"),
        (lambda m: (m[:2], [m[2:3]], [m[3:4]]), "each of 2 features. Received: 1 and 1"),
        (lambda m: (m[0], m[1:3], m[3:4]), "as many. Received: 2 and 1"),
        (lambda m: (m[0], [m[1][..., :2]], m[2:3]), r"\(1, 2, 2, 2\) of float32"),
        (lambda m: (m[0], [tf.cast(m[1], "float16")], m[2:3]), "of float16"),
        (lambda m: (m[0], [ChannelSlice(m[1], 1)], m[2:3]), "from channel 1 on"),
        (lambda m: (m[0], [ChannelSlice(m[1], -1)], m[2:3]), "from channel -1 on"),
        (lambda m: ([m[0], m[1][:, :1]], [[], []], [[], []]), "one shape and dtype"),
        (lambda m: (tf.zeros((1, 2), tf.int32), [], []), "floating point"),
    ],
)
def test_bad_input_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtl.ops.attention_distillation(*arguments(maps(4)))


@needs_native
@pytest.mark.parametrize(
    ("shapes", "numbers", "message"),
    [
        ([(2, 3)], [], "at least one map"),
        ([(2, 3), (2, 3), (2, 3)], [1, 0, 0, 0, 1], "five numbers"),
        ([(2, 3), (2, 3), (2, 3)], [1, 1, 0, 0, 1, 0], "below 1, received 1"),
        ([(2, 3), (2, 3), (2, 3)], [1, 0, 0, 0, 2, 0], "source below 2, received 2"),
        ([(2, 3), (2, 3), (2, 3)], [1, 0, 0, 1, 1, 0], "first channel 1"),
        ([(2, 3), (1, 3), (2, 3)], [1, 0, 0, 0, 1, 0], "2 positions"),
        ([(2, 3), (2, 3), (2, 3)], [1, *[0, 0, 0, 1, 0] * 17], "at most 16"),
        ([(2, 3), ()], [1], r"received \[\]"),
        ([(2, 3), (2, 3)], [3], "more arrays"),
    ],
)
def test_kernels_refuse_what_does_not_fit(shapes, numbers, message):
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        bindings().attention_distillation(arrays, numbers)
    with pytest.raises(ValueError, match="float32, bfloat16 or float16"):
        bindings().attention_distillation([np.zeros((2, 3))], [1])


@needs_native
def test_the_gradient_kernel_wants_a_partition():
    arrays = [np.zeros((2, 3), np.float32), np.zeros((2, 7), np.float32)]
    with pytest.raises(ValueError, match="exactly one gate or value"):
        bindings().attention_distillation_grad(arrays, [1, 0, 0, 0, 0, 3])
