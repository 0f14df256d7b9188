"""Claim: cross-stitch reads and writes every map once, its gradients as well.

Command: `make bench`, or `pytest benchmarks/test_cross_stitch.py --benchmark-enable -s`.
False if: for K = 3 maps of 2x96x96x256 float32, forward and backward together are less than 3 times
as fast as TensorFlow's graph or less than 1.2 times as fast as XLA.
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
from benchmarks.test_attention_distillation import maps

NUM_TASKS = 3


def forward_and_backward(op):
    def run(features, weights, upstream):
        inputs = [*features, weights]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = op(features, weights)
        return [*outputs, *tape.gradient(outputs, inputs, output_gradients=upstream)]

    return run


def test_cross_stitch(benchmark):
    features, upstream = maps(NUM_TASKS, 0), maps(NUM_TASKS, 1)
    weights = tf.random.stateless_normal([NUM_TASKS, NUM_TASKS, features[0].shape[-1]], [2, 0])
    native, plain = mtl.ops.cross_stitch, mtl.ops.reference.cross_stitch
    both = features, weights, upstream
    num_bytes = 4 * features[0].shape.num_elements()
    candidates = {
        "native": graph(forward_and_backward(native), *both),
        "native in XLA": graph(forward_and_backward(native), *both, xla=True),
        "TensorFlow": graph(forward_and_backward(plain), *both),
        "XLA": graph(forward_and_backward(plain), *both, xla=True),
        "forward: native": graph(native, features, weights),
        "forward: TensorFlow": graph(plain, features, weights),
        "forward: XLA": graph(plain, features, weights, xla=True),
        **readers(3 * NUM_TASKS * num_bytes),
        **writers(2 * NUM_TASKS * num_bytes),
    }
    times = interleave(candidates, rounds=7)
    benchmark.pedantic(candidates["native"], rounds=3)
    read = read_ceiling(times)
    moved = [a + b for a, b in zip(times[read], times[fastest(times, writers(1))], strict=True)]
    share = statistics.median(a / b for a, b in zip(moved, times["native"], strict=True))
    bars = Bars(benchmark, f"Cross-stitch, K = {NUM_TASKS}, forward and backward")
    bars.at_least("over TensorFlow", ratio(times, "TensorFlow", "native"), 3, share)
    bars.at_least("over XLA", ratio(times, "XLA", "native"), 1.2, share)
    bars.note("over XLA, inside XLA", ratio(times, "XLA", "native in XLA"))
    bars.note("forward over TensorFlow", ratio(times, "forward: TensorFlow", "forward: native"))
    bars.note("forward over XLA", ratio(times, "forward: XLA", "forward: native"))
    bars.note("share of reads and writes", share)
    bars.settle(times)
