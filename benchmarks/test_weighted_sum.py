"""Claim: the native weighted sum takes no longer than TensorFlow's best form of it.

Command: `make bench`, or `pytest benchmarks/test_weighted_sum.py --benchmark-enable -s`.
False if: for K = 3 or 5 tasks of 20 million parameters in 88 float32 tensors `tf.add_n` of the
weighted gradients, with or without XLA, is faster. The printed share is that of the time which K
reads and one write of the parameters take at the bandwidths measured in the same rounds.
"""

import statistics

import pytest
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
from benchmarks.support.workload import PARAMS, Bars, both_graphs, graph, task_gradients


def sum_by_add_n(gradients, weights):
    return [
        tf.add_n([weights[k] * g for k, g in enumerate(column)])
        for column in zip(*gradients, strict=True)
    ]


@pytest.mark.parametrize("num_tasks", [3, 5])
def test_weighted_sum(benchmark, num_tasks):
    gradients = task_gradients(num_tasks)
    weights = tf.random.stateless_uniform([num_tasks], [0, 1])
    native = graph(mtl.ops.weighted_sum, gradients, weights)
    pure = both_graphs("add_n", sum_by_add_n, gradients, weights)
    times = interleave(
        {"native": native, **pure, **readers(4 * num_tasks * PARAMS), **writers(4 * PARAMS)}
    )
    benchmark.pedantic(native, rounds=5, warmup_rounds=1)
    best, read = fastest(times, pure), read_ceiling(times)
    bars = Bars(benchmark, f"Weighted sum, K = {num_tasks}")
    bars.at_least(f"speed-up over {best}", ratio(times, best, "native"), 1)
    for write in ("write", "write to new memory"):
        share = statistics.median(
            (r + w) / n for r, w, n in zip(times[read], times[write], times["native"], strict=True)
        )
        bars.note(f"share of reads + {write}", share)
    bars.note("ceiling", read)
    bars.settle(times)
