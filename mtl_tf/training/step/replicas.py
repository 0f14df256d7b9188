"""Sums over the replicas of `tf.distribute`: every one of them holds a part of the batch."""

from typing import TypeVar

import tensorflow as tf

_Tensor = TypeVar("_Tensor", bound="tf.Tensor | None")


def num_replicas() -> int:
    """Return the number of replicas of this step; 1 without a distribution strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(tensors: list[_Tensor]) -> list[_Tensor]:
    """Return the sum over all replicas of each tensor; `None` stays `None`."""
    context = tf.distribute.get_replica_context()
    present = [tensor for tensor in tensors if tensor is not None]
    if num_replicas() == 1 or not present or context is None:
        return tensors
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
    return [tensor if tensor is None else next(sums) for tensor in tensors]
