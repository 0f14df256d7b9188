"""The kinds of balancing methods, one abstract class each: the class says what a step costs."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mtl_tf.ops import BalanceReport, BalanceStatus


class Balancing(keras.layers.Layer, abc.ABC):
    """Base of all balancing methods: a Keras layer, so that its state is saved with the trainer.

    A method is called with the losses, the Gramian or the Jacobian of K tasks. Statistics change
    only in calls with `training=True`; random numbers are drawn in every call.

    Args:
        name: name of the layer.
    """

    built: bool

    sees_losses_after_update = False
    """Whether the trainer evaluates the losses again after the update, for `after_update`."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32", autocast=False)

    def build(self, shape: Sequence[int]) -> None:
        """Makes the state of K tasks; `shape` begins with K."""
        self.make_state(shape[0])

    def make_state(self, num_tasks: int) -> None:
        """Makes the variables, for methods that have any."""

    def add_state(self, name: str, shape: Sequence[int], initial: float = 0.0) -> Any:
        """A variable that is saved with the trainer and that no optimizer updates.

        Args:
            name: of the variable.
            shape: of the variable.
            initial: the value of all its elements.

        Returns:
            A float64 Keras variable: means of many losses keep their digits.
        """
        return self.add_weight(
            name=name,
            shape=tuple(shape),
            initializer=keras.initializers.Constant(initial),
            dtype="float64",
            trainable=False,
            aggregation="only_first_replica",
        )

    def end_epoch(self) -> None:
        """Called by the trainer after each epoch of `fit`; for methods that think in epochs."""

    def after_update(self, before: tf.Tensor, after: tf.Tensor, is_present: tf.Tensor) -> None:
        """Called by the trainer with the losses of one batch before and after the update.

        Args:
            before: losses `[K]`.
            after: losses `[K]` of the same batch with the new weights of the network.
            is_present: bool `[K]`.
        """

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"name": self.name}


class Scalarizer(Balancing, abc.ABC):
    """Turns the losses of K tasks into the scalar whose gradient updates the network.

    One backward pass a step. The derivative of the scalar with respect to a loss is the weight of
    its task; trainable weights of the scalarizer are updated with the network.
    """

    def call(self, losses: Any, is_present: Any | None = None, training: bool = False) -> Any:
        """Combines the losses.

        Args:
            losses: `[K]`, in the order of the tasks.
            is_present: bool `[K]`, false for tasks without a label in this batch: they take no part
                in the result. All are present without it.
            training: whether to update the statistics of the method.

        Returns:
            Scalar in the dtype of `losses`.
        """
        losses = tf.convert_to_tensor(losses)
        present = _presence(is_present, losses.shape[0])
        losses = tf.where(present, losses, tf.zeros_like(losses))
        return self.scalar(losses, present, training)

    @abc.abstractmethod
    def scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """The scalar of losses `[K]`; the method itself."""


class Tasks(NamedTuple):
    """Inputs of a weighting in one step.

    Attributes:
        gramian: `[K, K]` float64, with zero rows and columns for absent tasks.
        losses: `[K]` float64, or `None` if not given.
        is_present: bool `[K]`.
        training: whether to update the statistics of the method.
    """

    gramian: tf.Tensor
    losses: tf.Tensor | None
    is_present: tf.Tensor
    training: bool


class Weighting(Balancing, abc.ABC):
    """Turns the Gramian of K task gradients into the weights of their sum.

    K backward passes through what is shared (or, on features, through the heads), then a
    computation on `[K, K]`.
    """

    def call(
        self,
        gramian: Any,
        losses: Any | None = None,
        is_present: Any | None = None,
        training: bool = False,
    ) -> Any:
        """The weights of the task gradients.

        Args:
            gramian: `[K, K]`, best the float64 of `mtl_tf.ops.gramian`.
            losses: `[K]`, for methods that need them.
            is_present: bool `[K]`, false for tasks without a label in this batch: their weight
                is 0. All are present without it.
            training: whether to update the statistics of the method.

        Returns:
            Weights `[K]` in the dtype of `gramian`.
        """
        gramian = tf.convert_to_tensor(gramian)
        report = self.weigh(gramian, losses, is_present, training)
        return tf.cast(report.weights, gramian.dtype)

    def weigh(
        self,
        gramian: Any,
        losses: Any | None = None,
        is_present: Any | None = None,
        training: bool = False,
    ) -> BalanceReport:
        """The weights as in `call`, in float64, and whether they are exact.

        Args:
            gramian: `[K, K]`.
            losses: `[K]`, for methods that need them.
            is_present: bool `[K]`.
            training: whether to update the statistics of the method.

        Returns:
            `mtl_tf.ops.BalanceReport`.
        """
        gramian = tf.cast(gramian, tf.float64)
        if not self.built:
            self.build(gramian.shape)
            self.built = True
        present = _presence(is_present, gramian.shape[0])
        both = present[:, None] & present[None, :]
        gramian = tf.where(both, gramian, tf.zeros_like(gramian))
        if losses is not None:
            losses = tf.cast(losses, tf.float64)
        report = self.solve(Tasks(gramian, losses, present, training))
        return report._replace(weights=tf.where(present, report.weights, 0.0))

    @abc.abstractmethod
    def solve(self, tasks: Tasks) -> BalanceReport:
        """The weights; the method itself."""


class Aggregator(Balancing, abc.ABC):
    """Turns the gradients of K tasks, element by element, into the direction of the update.

    The same passes over the network as a `Weighting`; the combination itself looks at more than the
    Gramian.
    """

    def call(self, jacobian: Any, training: bool = False) -> Any:
        """The direction of a Jacobian.

        Args:
            jacobian: `[K, P]`, one row per task; zero for tasks without a label.
            training: whether to update the statistics of the method.

        Returns:
            Direction `[P]` in the dtype of `jacobian`.
        """
        jacobian = tf.convert_to_tensor(jacobian)
        rows = [[row] for row in tf.unstack(jacobian, jacobian.shape[0])]
        (direction,), _ = self.combine(rows, training)
        return direction

    @abc.abstractmethod
    def combine(
        self, task_gradients: list[list[Any]], training: bool = False
    ) -> tuple[list[Any], tf.Tensor]:
        """The directions of task gradients as they come; the method itself.

        Args:
            task_gradients: K lists of V tensors, `None` for zero, see `mtl_tf.ops.gramian`.
            training: whether to update the statistics of the method.

        Returns:
            V tensors (`None` where every task has `None`), and a `mtl_tf.ops.BalanceStatus`.
        """


def exact(weights: tf.Tensor) -> BalanceReport:
    """The report of weights that needed no solver.

    Args:
        weights: `[K]` float64.

    Returns:
        `mtl_tf.ops.BalanceReport`, with the status `NOT_FINITE` if a weight is not finite.
    """
    is_finite = tf.reduce_all(tf.math.is_finite(weights))
    status = tf.where(is_finite, BalanceStatus.CONVERGED, BalanceStatus.NOT_FINITE)
    zero = tf.zeros([], tf.float64)
    return BalanceReport(weights, status, zero, tf.zeros([0, 0], tf.float64))


def _presence(is_present: Any | None, num_tasks: int) -> tf.Tensor:
    if is_present is None:
        return tf.ones([num_tasks], tf.bool)
    return tf.cast(is_present, tf.bool)
