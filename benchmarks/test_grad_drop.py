"""Claim: native GradDrop is one pass over memory; TorchJD's takes tens of them.

Command: `make bench`, or `pytest benchmarks/test_grad_drop.py --benchmark-enable -s`.
False if: for K = 3 tasks of 20 million parameters in 88 float32 tensors it is less than 20 times as
fast as TorchJD's, or, given the same random numbers, less than 3 times as fast as the best
pure-TensorFlow form (the formula of the paper, or the short form that a leak of zero allows; each
with and without XLA).
"""

import pytest
import tensorflow as tf

import mtl_tf as mtl
from benchmarks.support.interleaved import fastest, interleave, ratio, read_ceiling, readers
from benchmarks.support.workload import (
    PARAMS,
    Bars,
    both_graphs,
    graph,
    task_gradients,
    torch_jacobian,
)


def by_formula(gradients, uniform):
    """Lines 10 to 15 of Algorithm 1, tensor by tensor."""
    directions = []
    for column, numbers in zip(zip(*gradients, strict=True), uniform, strict=True):
        magnitude = tf.add_n([tf.abs(g) for g in column])
        purity = 0.5 * (1.0 + tf.math.divide_no_nan(tf.add_n(column), magnitude))
        positive, negative = purity > numbers, purity < numbers
        kept = [tf.where((positive & (g > 0)) | (negative & (g < 0)), g, 0.0) for g in column]
        directions.append(tf.add_n(kept))
    return directions


def by_short_form(gradients, uniform):
    """Without a leak, all positive or all negative parts are kept, and two sums give both."""
    directions = []
    for column, numbers in zip(zip(*gradients, strict=True), uniform, strict=True):
        total, magnitude = tf.add_n(column), tf.add_n([tf.abs(g) for g in column])
        excess = total - (2.0 * numbers - 1.0) * magnitude
        directions.append(0.5 * (total + tf.sign(excess) * magnitude) * tf.abs(tf.sign(excess)))
    return directions


def with_own_numbers(gradients, seed):
    """Draw by an argument: from a constant the numbers would be drawn once, when compiling."""
    uniform = [
        tf.random.stateless_uniform(g.shape, tf.stack([v, seed.read_value()]))
        for v, g in enumerate(gradients[0])
    ]
    return mtl.ops.grad_drop(gradients, uniform)


def test_grad_drop(benchmark):
    aggregation = pytest.importorskip("torchjd.aggregation")
    num_tasks = 3
    gradients = task_gradients(num_tasks)
    uniform = [tf.random.stateless_uniform(g.shape, [v, 0]) for v, g in enumerate(gradients[0])]
    jacobian = torch_jacobian(gradients)
    torchjd_grad_drop = aggregation.GradDrop()
    native = graph(mtl.ops.grad_drop, gradients, uniform)
    pure = {
        **both_graphs("formula", by_formula, gradients, uniform),
        **both_graphs("short form", by_short_form, gradients, uniform),
    }
    times = interleave(
        {
            "native": native,
            "native and its numbers": graph(with_own_numbers, gradients, tf.Variable(1)),
            **pure,
            "TorchJD": lambda: torchjd_grad_drop(jacobian),
            **readers(4 * (num_tasks + 1) * PARAMS),
        },
        rounds=7,
    )
    benchmark.pedantic(native, rounds=5, warmup_rounds=1)
    best = fastest(times, pure)
    best_formula = fastest(times, ["formula", "formula, XLA"])
    bars = Bars(benchmark, f"GradDrop, K = {num_tasks}")
    bars.at_least("speed-up over TorchJD", ratio(times, "TorchJD", "native"), 20)
    bars.note("with its numbers", ratio(times, "TorchJD", "native and its numbers"))
    share = ratio(times, read_ceiling(times), "native")
    bars.at_least(f"over {best}", ratio(times, best, "native"), 3, share)
    bars.note(f"over {best_formula} (paper's)", ratio(times, best_formula, "native"))
    bars.note("share of reading all", share)
    bars.settle(times)
