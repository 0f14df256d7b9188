"""Coupled weight decay: the gradient of an L2 penalty, which the optimizer sees with the losses'.

Keras' optimizers decay decoupled from the gradient (AdamW); PyTorch's `Adam(weight_decay=...)`,
with which the survey's models were trained, couples it, as this function does.
"""

import keras
import tensorflow as tf

from mtl_tf.training.step import replicas
from mtl_tf.training.step.update import Update


def with_l2(
    update: Update, factor: float, network: keras.Model, optimizer: keras.optimizers.Optimizer
) -> Update:
    """Return an update plus the gradient of `factor / 2 * |variable|**2` of all network variables.

    Source: Vandenhende et al., TPAMI 2021, supplement: 1e-4, on all variables, batch normalisation
    and biases too.

    Args:
        update: its gradients begin with those of the network's trainable variables.
        factor: of the penalty.
        network: the network.
        optimizer: its loss scale counts.

    Returns:
        The update; variables without a gradient have none.
    """
    scale = optimizer.scale_loss(tf.constant(factor)) / replicas.num_replicas()
    gradients = list(update.gradients)
    for i, variable in enumerate(network.trainable_variables):
        gradient = gradients[i]
        if gradient is not None:
            gradients[i] = gradient + tf.cast(scale * variable, gradient.dtype)
    return update._replace(gradients=gradients)
