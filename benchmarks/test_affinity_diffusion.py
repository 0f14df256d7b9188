"""Claim: affinity diffusion needs memory for positions, not for pairs of them, and is faster.

Command: `make bench`, or `pytest benchmarks/test_affinity_diffusion.py --benchmark-enable
-s`.
False if: for 60x80 positions, 3 sources of 64 channels and values of 128, forward and backward
together are less than 2 times as fast as TensorFlow's graph or take more than 5 % of its memory
beside the inputs; or if 120x160 positions take more than 1.2 * 16 times as long.
"""

import tensorflow as tf

import mtl_tf as mtl
from benchmarks.support.interleaved import interleave, ratio
from benchmarks.support.memory import peak_extra_mib
from benchmarks.support.workload import Bars, graph

SOURCES, WIDTH, CHANNELS = 3, 64, 128


def inputs(height, width):
    queries = [
        tf.math.l2_normalize(tf.random.stateless_normal((1, height, width, WIDTH), [s, 0]), -1)
        for s in range(SOURCES)
    ]
    values, upstream = (
        tf.random.stateless_normal((1, height, width, CHANNELS), [s, 1]) for s in range(2)
    )
    return queries, queries, values, tf.constant([0.5, 0.3, 0.2]), upstream


def forward_and_backward(op):
    def run(queries, keys, values, mix, upstream):
        sources = [*queries, *keys, values, mix]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            output = op(queries, keys, values, mix)
        return [output, *tape.gradient(output, sources, output_gradients=upstream)]

    return run


def measured(form):
    """Return a maker for `benchmarks.support.memory`."""
    op = mtl.ops.affinity_diffusion if form == "native" else mtl.ops.reference.affinity_diffusion
    return tuple(graph(forward_and_backward(op), *inputs(*size)) for size in ((60, 80), (6, 8)))


def test_affinity_diffusion(benchmark):
    data = inputs(60, 80)
    native = forward_and_backward(mtl.ops.affinity_diffusion)
    plain = forward_and_backward(mtl.ops.reference.affinity_diffusion)
    times = interleave(
        {
            "native": graph(native, *data),
            "TensorFlow": graph(plain, *data),
            "XLA": graph(plain, *data, xla=True),
        },
        rounds=5,
    )
    large = interleave(
        {"small": graph(native, *data), "large": graph(native, *inputs(120, 160))},
        rounds=3,
        warmup=1,
    )
    benchmark.pedantic(graph(native, *data), rounds=3)
    maker = "benchmarks.test_affinity_diffusion:measured"
    memory = {form: peak_extra_mib(maker, form) for form in ("native", "TensorFlow")}
    bars = Bars(benchmark, f"Affinity diffusion, {SOURCES} sources, 60x80")
    bars.at_least("over TensorFlow", ratio(times, "TensorFlow", "native"), 2)
    bars.note("over XLA", ratio(times, "XLA", "native"))
    bars.note("MiB, native", memory["native"])
    bars.note("MiB, TensorFlow", memory["TensorFlow"])
    bars.at_most("share of the memory", memory["native"] / memory["TensorFlow"], 0.05)
    bars.at_most("120x160 over 16 times 60x80", ratio(large, "large", "small") / 16, 1.2)
    bars.settle(times)
