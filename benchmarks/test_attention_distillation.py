"""Claim: attention-guided distillation reads every map once, its gradient once more.

Command: `make bench`, or `pytest benchmarks/test_attention_distillation.py --benchmark-enable
-s`.
False if: with 4 sources of 2x96x96x256 float32, forward and backward together are less than 2 times
as fast as TensorFlow's graph or less than 1.2 times as fast as XLA. The printed share is that of
the time which the reads and writes take at the bandwidths measured in the same rounds.
"""

import statistics

import tensorflow as tf

import mtl_tf as mtl
from benchmarks.support.interleaved import (
    fastest,
    interleave,
    ratio,
    read_ceiling,
    readers,
    writers,
)
from benchmarks.support.workload import Bars, graph

SHAPE = (2, 96, 96, 256)
SOURCES = 4


def maps(count, seed):
    return [tf.random.stateless_normal(SHAPE, [seed, n]) for n in range(count)]


def forward_and_backward(op):
    def run(features, gates, values, upstream):
        inputs = [features, *gates, *values]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = op(features, gates, values)
        return [output, *tape.gradient(output, inputs, output_gradients=upstream)]

    return run


def test_attention_distillation(benchmark):
    (features, upstream), gates, values = maps(2, 0), maps(SOURCES, 1), maps(SOURCES, 2)
    native, plain = mtl.ops.attention_distillation, mtl.ops.reference.attention_distillation
    both = features, gates, values, upstream
    num_bytes = 4 * features.shape.num_elements()
    candidates = {
        "native": graph(forward_and_backward(native), *both),
        "native in XLA": graph(forward_and_backward(native), *both, xla=True),
        "TensorFlow": graph(forward_and_backward(plain), *both),
        "XLA": graph(forward_and_backward(plain), *both, xla=True),
        "forward: native": graph(native, features, gates, values),
        "forward: TensorFlow": graph(plain, features, gates, values),
        "forward: XLA": graph(plain, features, gates, values, xla=True),
        **readers((4 * SOURCES + 2) * num_bytes),
        **writers((2 * SOURCES + 1) * num_bytes),
    }
    times = interleave(candidates, rounds=7)
    benchmark.pedantic(candidates["native"], rounds=3)
    read = read_ceiling(times)
    moved = [a + b for a, b in zip(times[read], times[fastest(times, writers(1))], strict=True)]
    share = statistics.median(a / b for a, b in zip(moved, times["native"], strict=True))
    bars = Bars(benchmark, f"Attention distillation, {SOURCES} sources, forward and backward")
    bars.at_least("over TensorFlow", ratio(times, "TensorFlow", "native"), 2)
    bars.at_least("over XLA", ratio(times, "XLA", "native"), 1.2, share)
    bars.note("over XLA, inside XLA", ratio(times, "XLA", "native in XLA"))
    bars.note("forward over TensorFlow", ratio(times, "forward: TensorFlow", "forward: native"))
    bars.note("forward over XLA", ratio(times, "forward: XLA", "forward: native"))
    bars.note("share of reads and writes", share)
    bars.settle(times)
