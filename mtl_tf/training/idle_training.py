"""Warnings of training without an effect: nothing is trained, or nothing is balanced."""

import warnings
from collections.abc import Sequence

import keras

from mtl_tf.balancing import Scalarizer
from mtl_tf.training.callbacks.unfreeze_backbone import UnfreezeBackbone
from mtl_tf.training.step.plan import StepPlan
from mtl_tf.training.step.split_model import has_shared_variables
from mtl_tf.training.step.strategies import parameter_gradients


def warn_of_idle_training(
    plan: StepPlan, network: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Warn if no variable is trained, or if no two tasks share one that a method could balance.

    Args:
        plan: of a step.
        network: that is trained.
        callbacks: of `fit`; a backbone that one of them unfreezes is no reason to warn.
    """
    if not network.trainable_variables:
        warnings.warn("The network has no trainable variable: fit only logs", stacklevel=3)
        return
    names = [task.name for task in plan.tasks]
    has_task_gradients = plan.strategy is parameter_gradients
    is_balanced = has_task_gradients and not isinstance(plan.balancing, Scalarizer)
    is_unfrozen_later = any(isinstance(callback, UnfreezeBackbone) for callback in callbacks)
    if len(names) == 1 or not is_balanced or is_unfrozen_later:
        return
    if has_shared_variables(network, names) is False:
        warnings.warn(
            f"No trainable variable of {network.name!r} is shared by two tasks: "
            f"{type(plan.balancing).__name__} has nothing to balance, and each task trains its own "
            "variables by its own gradient. Is the backbone frozen?",
            stacklevel=3,
        )
