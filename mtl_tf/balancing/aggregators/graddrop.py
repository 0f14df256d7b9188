"""GradDrop (Chen et al., NeurIPS 2020): one sign per element of the gradient."""

from typing import Any

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Aggregator
from mtl_tf.ops import BalanceStatus, grad_drop
from mtl_tf.typing import TaskGradients


def random_like(task_gradients: TaskGradients, seed: tf.Tensor) -> list[tf.Tensor | None]:
    """V float32 tensors in [0, 1) shaped like the gradients, `None` where every task has `None`.

    `seed`: int32 `[2]`; tensor v takes the seed `(seed_0 + v, seed_1)`.
    """
    numbers: list[tf.Tensor | None] = []
    for v, column in enumerate(zip(*task_gradients, strict=True)):
        gradient = next((g for g in column if g is not None), None)
        if gradient is None:
            numbers.append(None)
            continue
        own = tf.cast(seed, tf.int32) + tf.constant([v, 0])
        uniform = tf.random.stateless_uniform(tf.shape(gradient), own)
        numbers.append(tf.ensure_shape(uniform, gradient.shape))
    return numbers


@keras.saving.register_keras_serializable(package="mtl_tf")
class GradDrop(Aggregator):
    """Sum of the task gradients that keeps, per element, the gradients of one random sign.

    `GradDrop()(jacobian [K, P])` -> direction `[P]`. The more the tasks agree on an element, the
    likelier their sign is kept.

    Examples:
        >>> mtl.balancing.GradDrop(seed=0)(tf.constant([[1.0, -2.0], [3.0, 0.5]])).shape
        TensorShape([2])

    Source: Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign
    Dropout", NeurIPS 2020, Algorithm 1.

    Args:
        leak: share of every gradient that is always kept, 0 to 1.
        seed: of the signs; from Keras' global seed without it.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if `leak` is out of range.
    """

    def __init__(self, leak: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= leak <= 1:
            raise ValueError(f"leak must be from 0 to 1. Received: {leak}")
        self.leak = leak
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """Create the generator of the signs."""
        self.generator = keras.random.SeedGenerator(self.seed)

    def compute_direction(
        self, task_gradients: TaskGradients, training: bool = False
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """Return the sum of the gradients of one sign."""
        if not self.built:
            self.build((len(task_gradients),))
            self.built = True
        numbers = random_like(task_gradients, self.generator.next())
        directions = grad_drop(task_gradients, numbers, self.leak)
        return directions, tf.constant(int(BalanceStatus.CONVERGED))

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "leak": self.leak, "seed": self.seed}
