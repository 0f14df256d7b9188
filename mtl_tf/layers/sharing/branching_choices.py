"""Branching choices: at every stage each of K nodes samples one of K parents (Gumbel-softmax)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops


def straight_through(soft: tf.Tensor) -> tf.Tensor:
    """Return the one-hot argmax over the last axis, with the gradient of `soft`."""
    hard = tf.one_hot(tf.argmax(soft, axis=-1), soft.shape[-1], dtype=soft.dtype)
    return soft + tf.stop_gradient(hard - soft)


def expected_cost(logits: tf.Tensor, costs: Sequence[float]) -> tf.Tensor:
    """Return the expected cost of a sampled tree as a share of K separate networks.

    A node is in use if a node in use reads it; the last nodes, the heads, always are. Nodes choose
    independently, and the distribution of the set of nodes in use is propagated from the heads to
    the first stage: exact, with K products of `2^K x 2^K` matrices per stage.

    Source: the resource loss of Brüggemann et al., "Automated Search for Resource-Efficient
    Branched Multi-Task Networks", BMVC 2020, section 3.3.

    Args:
        logits: `[S, K, K]`: stage, choosing node, candidate parent.
        costs: cost of one copy of each stage, S numbers.

    Returns:
        Scalar: 1 / K for a shared backbone, 1 for K separate ones.
    """
    choice = tf.nn.softmax(logits, axis=-1)
    num_tasks = logits.shape[-1]
    sets = np.arange(2**num_tasks)
    sizes = tf.constant([int(s).bit_count() for s in sets], logits.dtype)
    # with_node[i][a, b]: whether set b is the union of set a and node i.
    with_node = tf.constant(
        np.stack([(sets[:, None] | 1 << i) == sets for i in range(num_tasks)]), logits.dtype
    )
    in_use = tf.one_hot(len(sets) - 1, len(sets), dtype=logits.dtype)
    total = tf.zeros([], logits.dtype)
    for stage in reversed(range(logits.shape[0])):
        # parents[a, b]: the probability that the parents of set a are set b.
        parents = tf.one_hot([0] * len(sets), len(sets), dtype=logits.dtype)
        for node in range(num_tasks):
            added = parents @ tf.tensordot(choice[stage, node], with_node, axes=1)
            parents = tf.where(sets[:, None] >> node & 1 == 1, added, parents)
        in_use = tf.linalg.matvec(parents, in_use, transpose_a=True)
        total += costs[stage] * tf.reduce_sum(in_use * sizes)
    return total / (num_tasks * sum(costs))


@keras.saving.register_keras_serializable(package="mtl_tf")
class BranchingChoices(keras.layers.Layer):
    """Learned choices of a parent, after each of S stages, for each of the next K nodes.

    In training a choice is a sample, `softmax((l + g) / τ)`, where `l` are the logits, `g` is
    Gumbel noise and `τ` the temperature; with `is_hard` it is one-hot in the forward pass. While
    the variable `is_mixing` is 1, all nodes are mixed in equal parts instead, so that all train. In
    inference each node takes its most probable parent, the first of equals.

    Source: Guo et al., "Learning to Branch for Multi-Task Learning", ICML 2020, section 3;
    Brüggemann et al., BMVC 2020, for the cost; Jang et al., ICLR 2017, for the estimator.

    Args:
        costs: cost of one copy of each of the S stages, in any unit.
        num_tasks: number of tasks K.
        resource_weight: weight of `expected_cost` in the losses.
        is_hard: whether samples are one-hot in the forward pass (straight-through).
        learning_rate_multiplier: multiplier of the learning rate of the logits.
        seed: seed of the noise.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: any tensor of the model; its value is not used. Returns S matrices `[K, K]`
    float32: row i holds the weights with which node i mixes the nodes of the stage.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> choices = mtl.layers.BranchingChoices([1.0, 2.0], num_tasks=3)
        >>> [tuple(weights.shape) for weights in choices(keras.ops.ones((1, 4, 4, 8)))]
        [(3, 3), (3, 3)]
    """

    def __init__(
        self,
        costs: Sequence[float],
        num_tasks: int,
        *,
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
        self.temperature = self._add_state("temperature", "ones")
        self.is_mixing = self._add_state("is_mixing", "zeros")
        self.built = True

    def _add_state(self, name: str, initializer: str) -> keras.Variable:
        return self.add_weight(shape=(), initializer=initializer, trainable=False, name=name)

    def call(self, x: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Return the weights of the mixtures after every stage."""
        logits = tf.convert_to_tensor(self.logits)
        costs, resource_weight = self.arguments["costs"], self.arguments["resource_weight"]
        if resource_weight:
            self.add_loss(resource_weight * expected_cost(logits, costs))
        most_probable = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1])
        return tf.unstack(self._sample(logits) if training else most_probable)

    def _sample(self, logits: tf.Tensor) -> tf.Tensor:
        uniform = keras.random.uniform(
            logits.shape, minval=1e-10, maxval=1.0, dtype="float32", seed=self.generator
        )
        noise = -tf.math.log(-tf.math.log(uniform))
        soft = tf.nn.softmax((logits + noise) / self.temperature)
        weights = straight_through(soft) if self.arguments["is_hard"] else soft
        uniform_weights = tf.fill(logits.shape, 1.0 / logits.shape[-1])
        return self.is_mixing * uniform_weights + (1.0 - self.is_mixing) * weights

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> list[tuple[int, int]]:
        """Return `(K, K)` for each of the S stages."""
        num_stages, num_tasks, _ = self.logits.shape
        return [(num_tasks, num_tasks)] * num_stages

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable(package="mtl_tf")
class Mixture(keras.layers.Layer):
    """`y_i = Σ_j w_ij x_j` with given weights.

    where `x_j` are the features of node j and `w_ij` the weight of node j in the mixture of i.

    Call arguments: list of K features `[B, h, w, C]`, and weights `[K, K]`. Returns such a list.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> features = [keras.ops.ones((1, 4, 4, 8))] * 2
        >>> mtl.layers.Mixture()(features, keras.ops.eye(2))[0].shape
        TensorShape([1, 4, 4, 8])
    """

    def call(self, features: list[tf.Tensor], weights: tf.Tensor) -> list[tf.Tensor]:
        """Return the mixtures."""
        return ops.cross_stitch(features, weights[:, :, None])

    def compute_output_shape(
        self,
        features_shape: Sequence[tuple[int | None, ...]],
        weights_shape: tuple[int | None, ...],
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the features."""
        return list(features_shape)
