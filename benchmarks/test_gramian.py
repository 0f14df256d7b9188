"""Claim: the native Gramian needs no copy of the gradients and at most 1.5 times as long as one.

Command: `make bench`, or `pytest benchmarks/test_gramian.py --benchmark-enable --no-cov`.
False if: `native` takes more than 1.5 times as long as `concatenated` (what a user would write:
flatten, concatenate, multiply in float32) for K = 2 to 10 tasks of 4 million shared parameters in
60 tensors.
"""

import pytest
import tensorflow as tf

import mtl_tf as mtl

SIZES = [4_000_000 // 60] * 60


def concatenated(task_gradients):
    jacobian = tf.stack(
        [tf.concat([tf.reshape(g, [-1]) for g in task], 0) for task in task_gradients]
    )
    return tf.matmul(jacobian, jacobian, transpose_b=True)


@pytest.mark.parametrize("num_tasks", [2, 3, 5, 10])
@pytest.mark.parametrize(
    "function", [mtl.ops.gramian, concatenated], ids=["native", "concatenated"]
)
def test_gramian(benchmark, function, num_tasks):
    benchmark.group = f"Gramian of {num_tasks} tasks"
    gradients = [[tf.random.normal([n]) for n in SIZES] for _ in range(num_tasks)]
    graph = tf.function(function)
    graph(gradients)
    benchmark(lambda: graph(gradients).numpy())
