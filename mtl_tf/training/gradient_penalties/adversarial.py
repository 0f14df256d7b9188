"""Adversarial task gradients (GREAT, Sinha et al. 2018; ASTMT, Maninis et al., CVPR 2019)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.layers import reverse_gradient
from mtl_tf.typing import TaskGradients

_EPSILON = 1e-10


@keras.saving.register_keras_serializable(package="mtl_tf")
class AdversarialGradients(keras.layers.Layer):
    """Adversarial loss of a discriminator that classifies the task of a gradient, pixel by pixel.

    The gradients with respect to the shared features, normalised over channels, go through gradient
    reversal into two convolutions that classify the task.

    Examples:
        >>> penalty = mtl.training.AdversarialGradients(weight=0.1)
        >>> trainer.compile("adam", gradient_penalties=[penalty])  # doctest: +SKIP

    Source: Maninis, Radosavovic, Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019,
    section 3.3; Sinha et al., "Gradient Adversarial Training of Neural Networks", 2018.

    Args:
        weight: factor of the discriminator's cross entropy as the network sees it.
        kernel_size: of the two convolutions, 1 or 3 in the paper.
        ramp_steps: number of steps in which the reversal grows from 0 to its full strength, as
            `2 / (1 + exp(-10 p)) - 1` of the share `p`; 0 for full strength at once.
        learning_rate_factor: how much larger the discriminator's gradient is than the network's.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        weight: float = 0.01,
        kernel_size: int = 1,
        ramp_steps: int = 0,
        learning_rate_factor: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        if not weight >= 0 or ramp_steps < 0:
            raise ValueError(
                "weight and ramp_steps must not be negative. "
                f"Received: weight={weight}, ramp_steps={ramp_steps}"
            )
        if kernel_size < 1 or not learning_rate_factor > 0:
            raise ValueError(
                "kernel_size and learning_rate_factor must be positive. "
                f"Received: kernel_size={kernel_size}, learning_rate_factor={learning_rate_factor}"
            )
        self.weight = weight
        self.kernel_size = kernel_size
        self.ramp_steps = ramp_steps
        self.learning_rate_factor = learning_rate_factor

    def build(self, shapes: Sequence[Any]) -> None:
        """Make a discriminator for each tensor; `shapes` begins with the number of tasks."""
        num_tasks, *feature_shapes = shapes
        self.discriminators = []
        for shape in feature_shapes:
            layers = [
                keras.layers.Conv2D(
                    channels,
                    self.kernel_size,
                    padding="same",
                    activation=activation,
                    dtype="float32",
                )
                for channels, activation in ((shape[-1], "relu"), (num_tasks, None))
            ]
            discriminator = keras.Sequential(layers)
            discriminator.build((None, *shape[1:]))
            self.discriminators.append(discriminator)
        self.steps = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            name="steps",
            aggregation="only_first_replica",
        )

    def penalty(self, task_gradients: TaskGradients) -> tf.Tensor:
        """Return the weighted cross entropy of K lists of task gradients, a float32 scalar."""
        reversal = tf.constant(1.0)
        if self.ramp_steps:
            progress = tf.minimum(tf.convert_to_tensor(self.steps) / self.ramp_steps, 1.0)
            reversal = 2.0 / (1.0 + tf.exp(-10.0 * progress)) - 1.0
        self.steps.assign_add(1.0)
        entropies, counts = [], []
        for task, row in enumerate(task_gradients):
            for gradient, discriminator in zip(row, self.discriminators, strict=True):
                if gradient is None:
                    continue
                x = tf.cast(gradient, tf.float32)
                has_gradient = tf.stop_gradient(tf.cast(tf.reduce_any(x != 0), tf.float32))
                x = tf.math.l2_normalize(x, axis=-1, epsilon=_EPSILON**2)
                logits = discriminator(reverse_gradient(x, reversal / self.learning_rate_factor))
                labels = tf.fill(tf.shape(logits)[:-1], task)
                entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                entropies.append(has_gradient * tf.reduce_mean(entropy))
                counts.append(has_gradient)
        mean = tf.math.divide_no_nan(tf.add_n(entropies), tf.add_n(counts))
        return self.weight * self.learning_rate_factor * mean

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            **super().get_config(),
            "weight": self.weight,
            "kernel_size": self.kernel_size,
            "ramp_steps": self.ramp_steps,
            "learning_rate_factor": self.learning_rate_factor,
        }
