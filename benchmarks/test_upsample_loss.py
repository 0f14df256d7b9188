"""Claim: the full-resolution loss of low-resolution logits needs next to no memory, and is faster.

Command: `make bench`, or `pytest benchmarks/test_upsample_loss.py --benchmark-enable -s`.
False if: for logits 4x60x80x40 and labels 4x480x640, cross-entropy and its gradient are less than
3 times as fast as TensorFlow's graph, or take more than 5 % of its memory beside the inputs; or if
the absolute error of one channel, where there is little to save, is not faster.
"""

import pytest
import tensorflow as tf

import mtl_tf as mtl
from benchmarks.support.interleaved import interleave, ratio
from benchmarks.support.memory import peak_extra_mib
from benchmarks.support.workload import Bars, graph

CASES = {
    "upsample_cross_entropy": ((4, 60, 80, 40), (480, 640)),
    "upsample_l1": ((4, 60, 80, 1), (480, 640)),
}


def inputs(name, shape, size):
    predictions = tf.random.stateless_normal(shape, [0, 0])
    weights = tf.ones((shape[0], *size))
    if name == "upsample_l1":
        return (
            predictions,
            tf.random.stateless_normal((shape[0], *size, shape[-1]), [1, 0]),
            weights,
        )
    labels = tf.random.stateless_uniform(
        (shape[0], *size), [1, 0], maxval=shape[-1], dtype=tf.int32
    )
    return predictions, labels, weights


def forward_and_backward(op):
    def run(predictions, targets, weights):
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            loss = op(predictions, targets, weights)
        return loss, tape.gradient(loss, predictions)

    return run


def measured(form, name):
    """Return a maker for `benchmarks.support.memory`."""
    shape, _ = CASES[name]
    op = getattr(mtl.ops if form == "native" else mtl.ops.reference, name)
    small = (1, 6, 8, shape[-1]), (48, 64)
    return tuple(
        graph(forward_and_backward(op), *inputs(name, *case)) for case in (CASES[name], small)
    )


@pytest.mark.parametrize("name", CASES)
def test_upsample_loss(benchmark, name):
    data = inputs(name, *CASES[name])
    native, plain = (
        forward_and_backward(getattr(ops, name)) for ops in (mtl.ops, mtl.ops.reference)
    )
    candidates = {
        "native": graph(native, *data),
        "TensorFlow": graph(plain, *data),
        "XLA": graph(plain, *data, xla=True),
    }
    times = interleave(candidates, rounds=5)
    benchmark.pedantic(candidates["native"], rounds=3)
    memory = {
        form: peak_extra_mib("benchmarks.test_upsample_loss:measured", form, name)
        for form in ("native", "TensorFlow")
    }
    bars = Bars(benchmark, name)
    least = 3 if name == "upsample_cross_entropy" else 1
    bars.at_least("over TensorFlow", ratio(times, "TensorFlow", "native"), least)
    bars.note("over XLA", ratio(times, "XLA", "native"))
    bars.note("MiB, native", memory["native"])
    bars.note("MiB, TensorFlow", memory["TensorFlow"])
    if name == "upsample_cross_entropy":
        bars.at_most("share of the memory", memory["native"] / memory["TensorFlow"], 0.05)
    bars.settle(times)
