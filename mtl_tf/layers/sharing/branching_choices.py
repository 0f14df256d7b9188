"""Branching choices: at every stage each of K nodes picks its parent among K, by Gumbel-Softmax."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops


def straight_through(soft: tf.Tensor) -> tf.Tensor:
    """One-hot at the largest of the last axis, with the gradient of `soft`."""
    hard = tf.one_hot(tf.argmax(soft, axis=-1), soft.shape[-1], dtype=soft.dtype)
    return soft + tf.stop_gradient(hard - soft)


def expected_cost(logits: tf.Tensor, costs: Sequence[float]) -> tf.Tensor:
    """Return the expected cost of a sampled tree as a share of K separate networks.

    A node is in use if a node in use picks it; the last nodes, the heads, always are. Nodes pick
    independently, and the distribution of the set of nodes in use is followed from the heads back:
    exact, with K products of `2^K x 2^K` matrices a stage.

    Source: the resource loss of Brüggemann et al., "Automated Search for Resource-Efficient
    Branched Multi-Task Networks", BMVC 2020, section 3.3.

    Args:
        logits: `[S, K, K]`: stage, picking node, its candidates.
        costs: of one copy of each stage, S numbers.

    Returns:
        Scalar: 1 / K for a shared backbone, 1 for separate ones.
    """
    choice = tf.nn.softmax(logits, axis=-1)
    num_tasks = logits.shape[-1]
    sets = np.arange(2**num_tasks)
    sizes = tf.constant([int(s).bit_count() for s in sets], logits.dtype)
    # with_node[i][a, b]: whether set b is set a and node i.
    with_node = tf.constant(
        np.stack([(sets[:, None] | 1 << i) == sets for i in range(num_tasks)]), logits.dtype
    )
    in_use = tf.one_hot(len(sets) - 1, len(sets), dtype=logits.dtype)
    total = tf.zeros([], logits.dtype)
    for stage in reversed(range(logits.shape[0])):
        # picked[a, b]: the probability that the nodes of set a pick those of set b.
        picked = tf.one_hot([0] * len(sets), len(sets), dtype=logits.dtype)
        for node in range(num_tasks):
            added = picked @ tf.tensordot(choice[stage, node], with_node, axes=1)
            picked = tf.where(sets[:, None] >> node & 1 == 1, added, picked)
        in_use = tf.linalg.matvec(picked, in_use, transpose_a=True)
        total += costs[stage] * tf.reduce_sum(in_use * sizes)
    return total / (num_tasks * sum(costs))


@keras.saving.register_keras_serializable(package="mtl_tf")
class BranchingChoices(keras.layers.Layer):
    """After each of S stages, which of its K nodes each of the next K nodes reads.

    In training a choice is a sample: the softmax of the logits plus Gumbel noise, divided by the
    temperature; with `is_hard` it is one-hot in the forward pass. While the variable `is_mixing` is
    1 all nodes are mixed in equal parts instead, so that all train. In inference each node takes
    its likeliest parent, the first of equals.

    Source: Guo et al., "Learning to Branch for Multi-Task Learning", ICML 2020, section 3;
    Brüggemann et al., BMVC 2020, for the cost; Jang et al., ICLR 2017, for the estimator.

    Args:
        costs: of one copy of each of the S stages, in any unit.
        num_tasks: K.
        resource_weight: factor of `expected_cost`, added to the losses.
        is_hard: whether samples are one-hot in the forward pass (straight-through).
        learning_rate_multiplier: how many times faster than the rest the logits learn.
        seed: of the noise.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: any tensor of the model, whose value does not matter. Returns S matrices
    `[K, K]` float32: the weights by which a next node mixes the nodes of the stage.
    """

    def __init__(
        self,
        costs: Sequence[float],
        num_tasks: int,
        resource_weight: float = 0.0,
        is_hard: bool = True,
        learning_rate_multiplier: float = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.arguments: dict[str, Any] = {
            "costs": [float(cost) for cost in costs],
            "num_tasks": num_tasks,
            "resource_weight": resource_weight,
            "is_hard": is_hard,
            "learning_rate_multiplier": learning_rate_multiplier,
            "seed": seed,
        }
        self.generator = keras.random.SeedGenerator(seed)
        self.logits = self.add_weight(
            shape=(len(costs), num_tasks, num_tasks), initializer="zeros", name="logits"
        )
        self.logits.learning_rate_multiplier = learning_rate_multiplier
        self.temperature = self._switch("temperature", "ones")
        self.is_mixing = self._switch("is_mixing", "zeros")
        self.built = True

    def _switch(self, name: str, start: str) -> Any:
        return self.add_weight(shape=(), initializer=start, trainable=False, name=name)

    def call(self, x: Any, training: bool = False) -> list[tf.Tensor]:
        """The weights of the mixtures after every stage."""
        logits = tf.convert_to_tensor(self.logits)
        costs, resource_weight = self.arguments["costs"], self.arguments["resource_weight"]
        if resource_weight:
            self.add_loss(resource_weight * expected_cost(logits, costs))
        likeliest = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1])
        return tf.unstack(self._sample(logits) if training else likeliest)

    def _sample(self, logits: tf.Tensor) -> tf.Tensor:
        uniform = keras.random.uniform(
            logits.shape, minval=1e-10, maxval=1.0, dtype="float32", seed=self.generator
        )
        noise = -tf.math.log(-tf.math.log(uniform))
        soft = tf.nn.softmax((logits + noise) / self.temperature)
        weights = straight_through(soft) if self.arguments["is_hard"] else soft
        even = tf.fill(logits.shape, 1.0 / logits.shape[-1])
        return self.is_mixing * even + (1.0 - self.is_mixing) * weights

    def compute_output_shape(self, input_shape: Any) -> Any:
        """S times `(K, K)`."""
        num_stages, num_tasks, _ = self.logits.shape
        return [(num_tasks, num_tasks)] * num_stages

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable(package="mtl_tf")
class Mixture(keras.layers.Layer):
    """`out_i = Σ_j w_ij x_j` with given weights.

    Args:
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`, and weights `[K, K]`. Returns such a list.
    """

    def call(self, features: Any, weights: Any) -> Any:
        """The mixtures."""
        return ops.cross_stitch(features, weights[:, :, None])

    def compute_output_shape(self, features_shape: Any, weights_shape: Any) -> Any:
        """The shapes of the features."""
        return list(features_shape)
