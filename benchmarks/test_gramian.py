"""Claim: the native Gramian reads the gradients once at nearly the speed of memory.

Command: `make bench`, or `pytest benchmarks/test_gramian.py --benchmark-enable -s`.
False if: for K = 2, 3, 5 or 8 tasks of 20 million parameters in 88 float32 tensors it is less than
6 times as fast as the best of four pure-TensorFlow forms (concatenate and multiply, or multiply
tensor by tensor; each with and without XLA), less than twice as fast as TorchJD's Gramian of a
ready matrix, or below 80 % of the bandwidth of a plain read.
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


def gramian_of_concatenated(gradients):
    jacobian = tf.stack([tf.concat([tf.reshape(g, [-1]) for g in task], 0) for task in gradients])
    return tf.matmul(jacobian, jacobian, transpose_b=True)


def gramian_by_tensor(gradients):
    products = []
    for column in zip(*gradients, strict=True):
        rows = tf.stack([tf.reshape(g, [-1]) for g in column])
        products.append(tf.matmul(rows, rows, transpose_b=True))
    return tf.add_n(products)


@pytest.mark.parametrize("num_tasks", [2, 3, 5, 8])
def test_gramian(benchmark, num_tasks):
    torchjd_linalg = pytest.importorskip("torchjd._linalg")
    gradients = task_gradients(num_tasks)
    jacobian = torch_jacobian(gradients)
    native = graph(mtl.ops.gramian, gradients)
    pure = {
        **both_graphs("concatenated", gramian_of_concatenated, gradients),
        **both_graphs("by tensor", gramian_by_tensor, gradients),
    }
    num_bytes = 4 * num_tasks * PARAMS
    times = interleave(
        {
            "native": native,
            **pure,
            "TorchJD": lambda: torchjd_linalg.compute_gramian(jacobian),
            **readers(num_bytes),
        }
    )
    benchmark.pedantic(native, rounds=5, warmup_rounds=1)
    best, read = fastest(times, pure), read_ceiling(times)
    bars = Bars(benchmark, f"Gramian, K = {num_tasks}")
    share = ratio(times, read, "native")
    bars.at_least(f"speed-up over {best}", ratio(times, best, "native"), 6, share)
    bars.at_least("over TorchJD", ratio(times, "TorchJD", "native"), 2, share)
    bars.at_least("share of read bandwidth", share, 0.8)
    bars.note("ceiling", read)
    bars.note("GB/s of it", num_bytes / min(times[read]) / 1e9)
    bars.settle(times)
