"""The update of a step: what a strategy computes, and the optimizer and the logs take."""

from typing import NamedTuple

import tensorflow as tf


class Update(NamedTuple):
    """Gradients and logs of a step; the same on all replicas except the gradients.

    Attributes:
        gradients: of the variables of the network, then of those of the balancing method; scaled
            as the optimizer wants them, to be summed over the replicas.
        loss: scalar that is minimised, or for gradient-based methods the sum of the losses.
        losses: `[K]`.
        is_present: bool `[K]`: tasks with a label.
        is_used: bool `[K]`: present tasks whose loss and gradient are finite.
        weights: `[K]` or `None`: the derivative of the update with respect to the task gradients.
        status: a `mtl_tf.ops.BalanceStatus`.
        gramian: `[K, K]` float64 of the gradients that were balanced, or `None`.
    """

    gradients: list[tf.Tensor | None]
    loss: tf.Tensor
    losses: tf.Tensor
    is_present: tf.Tensor
    is_used: tf.Tensor
    weights: tf.Tensor | None
    status: tf.Tensor
    gramian: tf.Tensor | None
