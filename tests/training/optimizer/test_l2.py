"""Coupled weight decay is the gradient of an L2 penalty, whatever the optimizer and the method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.inputs import tiny_batch, tiny_trainer

RATE, DECAY = 0.5, 0.01


def moved(balancing, weight_decay, optimizer=None, **options):
    """The variables of the network before and after a step."""
    optimizer = optimizer or keras.optimizers.SGD(RATE)
    made = tiny_trainer(balancing, optimizer=optimizer, weight_decay=weight_decay, **options)
    made.optimizer.build(made.trainable_variables)
    before = [v.numpy() for v in made.network.trainable_variables]
    tf.function(made.train_step, autograph=False)(tiny_batch())
    return before, [v.numpy() for v in made.network.trainable_variables]


@pytest.mark.parametrize("balancing", ["fixed_weights", "uncertainty", "mgda", "pcgrad"])
def test_every_variable_is_pulled_to_zero(balancing):
    before, without = moved(balancing, 0.0)
    again, with_decay = moved(balancing, DECAY)
    for start, same, plain, decayed in zip(before, again, without, with_decay, strict=True):
        np.testing.assert_array_equal(start, same)
        np.testing.assert_allclose(plain - decayed, RATE * DECAY * start, rtol=1e-3, atol=2e-6)


def test_the_optimizer_sees_it():
    """Coupled: Adam's first step has the length of its rate, however large the penalty is."""
    _, small = moved("fixed_weights", 1e3, keras.optimizers.Adam(0.1))
    before, large = moved("fixed_weights", 1e6, keras.optimizers.Adam(0.1))
    for start, a, b in zip(before, small, large, strict=True):
        moves = np.abs(start) > 1e-2
        np.testing.assert_allclose((start - b)[moves], 0.1 * np.sign(start)[moves], rtol=1e-3)
        np.testing.assert_allclose(a[moves], b[moves], rtol=1e-2, atol=1e-3)


def test_a_loss_scale_does_not_scale_it():
    scaled = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=64)
    _, expected = moved("fixed_weights", DECAY)
    _, found = moved("fixed_weights", DECAY, scaled)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_micro_batches_decay_once():
    _, expected = moved("pcgrad", DECAY)
    _, found = moved("pcgrad", DECAY, micro_batches=2)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)


def test_variables_that_wait_would_decay_in_every_step():
    with pytest.raises(ValueError, match=r"weight_decay.*update_every"):
        tiny_trainer("fixed_weights", weight_decay=DECAY, update_every={"depth": 2})


def test_a_negative_factor_is_refused():
    with pytest.raises(ValueError, match=r"weight_decay.*-1"):
        tiny_trainer("fixed_weights", weight_decay=-1)
