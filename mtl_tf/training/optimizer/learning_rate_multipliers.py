"""Learning-rate multipliers: some variables, such as cross-stitch weights, learn faster.

Keras optimizers have one learning rate. A layer that wants another for a variable of its own sets
`variable.learning_rate_multiplier`; schedules, moment estimates and clipping stay as they are.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf


def apply_learning_rate_multipliers(
    optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable]
) -> None:
    """Make an optimizer multiply its learning rate for variables that ask for it.

    Args:
        optimizer: a Keras optimizer, changed in place.
        variables: the variables it will update; those with an attribute `learning_rate_multiplier`
            have their update scaled by that factor. Weight decay keeps the optimizer's rate.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    multipliers = {}
    for variable in variables:
        multiplier = getattr(variable, "learning_rate_multiplier", 1.0)
        if multiplier != 1.0:
            # The optimizer is handed TensorFlow's variable, or under a strategy one of its copies.
            copies = getattr(variable.value, "values", ())
            multipliers.update({v.ref(): multiplier for v in (variable.value, *copies)})
    if not multipliers:
        return
    update = type(inner).update_step

    def update_step(gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        factor = multipliers.get(variable.ref(), 1.0)
        update(inner, gradient, variable, learning_rate * factor)

    inner.update_step = update_step
