"""Base classes of the balancing methods: one per input, which determines the cost of a step."""

import abc
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import keras
import tensorflow as tf

from mtl_tf.ops import BalanceReport, BalanceStatus
from mtl_tf.typing import TaskGradients, TensorLike

_Method = TypeVar("_Method", bound="Balancing")


class Balancing(keras.layers.Layer, abc.ABC):
    """Base of all balancing methods: a Keras layer, so that its state is saved with the trainer.

    Examples:
        >>> isinstance(mtl.balancing.get("dwa"), mtl.balancing.Balancing)
        True

    A method is called with the losses, the Gramian or the Jacobian of K tasks. Statistics change
    only in calls with `training=True`; random numbers are drawn in every call.

    Args:
        **kwargs: `name`, as of any Keras layer.
    """

    built: bool

    sees_losses_after_update = False
    """Whether the trainer evaluates the losses again after the update, for `after_update`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})

    def build(self, shape: Sequence[int]) -> None:
        """Make the state of K tasks; `shape` begins with K."""
        self.make_state(shape[0])

    def make_state(self, num_tasks: int) -> None:
        """Make the variables, for methods that have any."""

    def add_state(self, name: str, shape: Sequence[int], initial: float = 0.0) -> keras.Variable:
        """Create a variable that is saved with the trainer and that no optimizer updates.

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
        """Update per-epoch state; the trainer calls this after each epoch of `fit`."""

    def after_update(self, before: tf.Tensor, after: tf.Tensor, is_present: tf.Tensor) -> None:
        """Update state from the losses of one batch before and after the optimizer's update.

        Args:
            before: losses `[K]`.
            after: losses `[K]` of the same batch with the new weights of the network.
            is_present: bool `[K]`.
        """

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return super().get_config()

    @classmethod
    def from_config(cls: type[_Method], config: dict[str, Any]) -> _Method:
        """Create a method from `get_config`, without what its `__init__` does not take.

        A method of your own need not accept all arguments of a Keras layer.
        """
        parameters = inspect.signature(cls).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            usual = ("name", "trainable", "dtype")
            config = {k: v for k, v in config.items() if k not in usual or k in parameters}
        return super().from_config(config)


class Scalarizer(Balancing, abc.ABC):
    """Maps the losses of K tasks to the scalar whose gradient updates the network.

    One backward pass per step. The derivative of the scalar with respect to a loss is the weight of
    its task; trainable weights of the scalarizer are updated with the network.

    Examples:
        >>> class Largest(mtl.balancing.Scalarizer):
        ...     def compute_scalar(self, losses, is_present, training):
        ...         return tf.reduce_max(losses)
        >>> float(Largest()(tf.constant([1.0, 3.0])))
        3.0
    """

    def call(
        self, losses: TensorLike, is_present: "TensorLike | None" = None, training: bool = False
    ) -> tf.Tensor:
        """Combine the losses.

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
        scalar = tf.convert_to_tensor(self.compute_scalar(losses, present, training))
        if scalar.shape.rank not in (0, None):
            raise ValueError(
                f"compute_scalar of {type(self).__name__} must return a scalar, such as "
                f"tf.reduce_sum(losses). Received shape: {scalar.shape}"
            )
        return scalar

    @abc.abstractmethod
    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Compute the scalar from losses `[K]`. Override this."""


class StepStatistics(NamedTuple):
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
    """Maps the Gramian of K task gradients to the weights of their sum.

    K backward passes per step through the shared layers (with `level="features"` through the
    heads), then a computation on `[K, K]`.

    Examples:
        >>> class UnitLength(mtl.balancing.Weighting):
        ...     def compute_weights(self, statistics):
        ...         norms = tf.sqrt(tf.linalg.diag_part(statistics.gramian))
        ...         return mtl.balancing.exact(tf.math.divide_no_nan(1.0, norms))
        >>> [float(w) for w in UnitLength()(tf.constant([[4.0, 0.0], [0.0, 1.0]]))]
        [0.5, 1.0]
    """

    def call(
        self,
        gramian: TensorLike,
        losses: "TensorLike | None" = None,
        is_present: "TensorLike | None" = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Return the weights of the task gradients.

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
        report = self.report(gramian, losses, is_present, training)
        return tf.cast(report.weights, gramian.dtype)

    def report(
        self,
        gramian: TensorLike,
        losses: "TensorLike | None" = None,
        is_present: "TensorLike | None" = None,
        training: bool = False,
    ) -> BalanceReport:
        """Return the weights as in `call`, in float64, and whether they are exact.

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
        report = self.compute_weights(StepStatistics(gramian, losses, present, training))
        if not isinstance(report, BalanceReport):
            raise ValueError(
                f"compute_weights of {type(self).__name__} must return a BalanceReport, such as "
                f"mtl_tf.balancing.exact(weights). Received: {type(report).__name__}"
            )
        if not report.weights.shape.is_compatible_with(present.shape):
            raise ValueError(
                f"compute_weights of {type(self).__name__} must return weights of shape "
                f"{tuple(present.shape)}, one per task. Received: {tuple(report.weights.shape)}"
            )
        return report._replace(weights=tf.where(present, report.weights, 0.0))

    @abc.abstractmethod
    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Compute the weights and their report. Override this."""


class Aggregator(Balancing, abc.ABC):
    """Maps the gradients of K tasks, element by element, to the direction of the update.

    As many passes over the network as a `Weighting`, for methods that need more than the Gramian.

    Examples:
        >>> class Sum(mtl.balancing.Aggregator):
        ...     def compute_direction(self, task_gradients, training=False):
        ...         directions = [tf.add_n(column) for column in zip(*task_gradients)]
        ...         return directions, mtl.ops.BalanceStatus.CONVERGED
        >>> [float(d) for d in Sum()(tf.constant([[1.0, 2.0], [3.0, 4.0]]))]
        [4.0, 6.0]
    """

    def call(self, jacobian: TensorLike, training: bool = False) -> tf.Tensor:
        """Return the direction of a Jacobian.

        Args:
            jacobian: `[K, P]`, one row per task; zero for tasks without a label.
            training: whether to update the statistics of the method.

        Returns:
            Direction `[P]` in the dtype of `jacobian`.
        """
        jacobian = tf.convert_to_tensor(jacobian)
        rows = [[row] for row in tf.unstack(jacobian, jacobian.shape[0])]
        (direction,), _ = self.compute_direction(rows, training)
        return direction

    @abc.abstractmethod
    def compute_direction(
        self, task_gradients: TaskGradients, training: bool = False
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """Compute the direction from the task gradients. Override this.

        Args:
            task_gradients: K lists of V tensors, `None` for zero, see `mtl_tf.ops.gramian`.
            training: whether to update the statistics of the method.

        Returns:
            V tensors (`None` where every task has `None`), and a `mtl_tf.ops.BalanceStatus`.
        """


def exact(weights: tf.Tensor) -> BalanceReport:
    """Return the report of weights that needed no solver.

    Args:
        weights: `[K]` float64.

    Returns:
        `mtl_tf.ops.BalanceReport`, with the status `NOT_FINITE` if a weight is not finite.
    """
    is_finite = tf.reduce_all(tf.math.is_finite(weights))
    status = tf.where(is_finite, BalanceStatus.CONVERGED, BalanceStatus.NOT_FINITE)
    zero = tf.zeros([], tf.float64)
    return BalanceReport(weights, status, zero, tf.zeros([0, 0], tf.float64))


def _presence(is_present: "TensorLike | None", num_tasks: int) -> tf.Tensor:
    if is_present is None:
        return tf.ones([num_tasks], tf.bool)
    return tf.cast(is_present, tf.bool)
