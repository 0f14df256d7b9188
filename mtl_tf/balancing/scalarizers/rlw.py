"""Random loss weighting (Lin et al., TMLR 2022): new random weights in every step."""

from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from mtl_tf.balancing.base import Scalarizer
from mtl_tf.balancing.masked import masked_softmax, masked_sum
from mtl_tf.balancing.scalarizers.fixed_weights import fixed_weights

Distribution = Literal["normal", "uniform", "dirichlet"]


def random_weights(
    numbers: tf.Tensor, is_present: tf.Tensor, distribution: Distribution
) -> tf.Tensor:
    """Weights `[K]` of sum 1 over present tasks.

    `numbers [K]` are standard normal for `"normal"`, else uniform in [0, 1). `"normal"` and
    `"uniform"` are their softmax; `"dirichlet"`, even on the simplex, normalised exponentials.
    """
    if distribution != "dirichlet":
        return masked_softmax(numbers, is_present)
    waits = tf.where(is_present, -tf.math.log1p(-numbers), tf.zeros_like(numbers))
    return tf.math.divide_no_nan(waits, masked_sum(waits, is_present))


@keras.saving.register_keras_serializable(package="mtl_tf")
class RLW(Scalarizer):
    """Sum of the losses with weights sampled in every call.

    `RLW()(losses [K])` -> scalar. The weights add up to 1.

    Examples:
        >>> mtl.balancing.RLW(seed=0)(tf.constant([1.0, 3.0])).shape
        TensorShape([])

    Source: Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022, section 3.1.

    Args:
        distribution: `"normal"` or `"uniform"`, softmax of K such numbers, or `"dirichlet"`, even
            on the simplex.
        seed: of the random numbers; from Keras' global seed without it.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: for another distribution.
    """

    def __init__(
        self, distribution: Distribution = "normal", seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if distribution not in get_args(Distribution):
            raise ValueError(
                f"distribution must be one of {get_args(Distribution)}. Received: {distribution!r}"
            )
        self.distribution = distribution
        self.seed = seed

    def make_state(self, num_tasks: int) -> None:
        """Create the generator of the weights."""
        self.generator = keras.random.SeedGenerator(self.seed)

    def compute_scalar(self, losses: tf.Tensor, is_present: tf.Tensor, training: bool) -> tf.Tensor:
        """Return the randomly weighted sum of the present tasks' losses."""
        draw = keras.random.normal if self.distribution == "normal" else keras.random.uniform
        numbers = draw(losses.shape, dtype="float32", seed=self.generator)
        weights = random_weights(numbers, is_present, self.distribution)
        return fixed_weights(losses, tf.cast(weights, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "distribution": self.distribution, "seed": self.seed}
