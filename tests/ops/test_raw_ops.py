"""The raw TensorFlow ops with numbers that contradict their tensors: an error, no crash."""

import pytest
import tensorflow as tf

from mtl_tf.ops import _library
from tests.ops.implementations import needs_native

G = [tf.ones([4]), tf.ones([4])]
WEIGHTS = tf.ones([2], tf.float64)


@needs_native
@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize(
    ("numbers", "num_tensors"),
    [
        ([2, 1, 0, 1], 2),
        ([1, 2, 0, 1], 1),
        ([1, 2**31, 0, 1], 1),
        ([1, 2**32 + 1, 0, 1], 1),
        ([2**62, 4, 0, 1], 1),
        ([2, -1, 0, 1], 1),
        ([2, 1, 0, 2], 1),
        ([2, 1, 0, -1], 1),
        ([2, 1, 0], 1),
        ([], 1),
    ],
)
def test_numbers_that_do_not_fit(numbers, num_tensors, in_graph):
    library = _library.loaded_ops()

    def weighted_sum():
        return library.mtl_weighted_sum(
            task_gradients=G, weights=WEIGHTS, numbers=numbers, num_tensors=num_tensors
        )

    def gramian():
        return library.mtl_gramian(task_gradients=G, numbers=numbers)

    for call in (weighted_sum, *([gramian] if numbers not in ([2, 1, 0, 1], [1, 2, 0, 1]) else [])):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            tf.function(call, autograph=False)() if in_graph else call()


@needs_native
def test_more_targets_than_results():
    maps = [tf.ones([1, 2, 2, 3])] * 2
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        _library.loaded_ops().mtl_attention_distillation(
            features=maps, sources=maps, numbers=[1, 0, 0, 0, 1, 0]
        )
