"""Cross-stitch unit: the features of K tasks, each a learned mixture of all of them."""

from typing import Any

import keras
import numpy as np

from mtl_tf import ops


def identity_like(num: int, own: float) -> np.ndarray:
    """`[num, num]` with `own` on the diagonal and rows that sum to 1, float32."""
    if num == 1:
        return np.ones((1, 1), np.float32)
    matrix = np.full((num, num), (1.0 - own) / (num - 1), np.float32)
    np.fill_diagonal(matrix, own)
    return matrix


@keras.saving.register_keras_serializable(package="mtl_tf")
class CrossStitchUnit(keras.layers.Layer):
    """`out_i = Σ_j w_ij x_j` for the features of K tasks at the same place of K networks.

    Source: Misra et al., "Cross-Stitch Networks for Multi-Task Learning", CVPR 2016, equation 1.

    Args:
        own: weight of a task's own features at first; the others share `1 - own`.
        per_channel: whether every channel has weights of its own, as in the survey, or one number
            serves all, as in the paper.
        learning_rate_multiplier: how many times faster than the rest the weights learn.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`. Returns such a list.
    """

    def __init__(
        self,
        own: float = 0.9,
        per_channel: bool = True,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own = own
        self.per_channel = per_channel
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, input_shape: Any) -> None:
        """Makes the weights `[K, K, C]`, or `[K, K, 1]` without `per_channel`."""
        num_tasks, channels = len(input_shape), input_shape[0][-1]
        start = np.repeat(
            identity_like(num_tasks, self.own)[:, :, None],
            channels if self.per_channel else 1,
            axis=2,
        )
        self.mixing = self.add_weight(
            shape=start.shape, initializer=lambda shape, dtype: start, name="mixing"
        )
        self.mixing.learning_rate_multiplier = self.learning_rate_multiplier

    def call(self, features: Any) -> Any:
        """The mixed features."""
        return ops.cross_stitch(features, self.mixing)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the input."""
        return list(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            **super().get_config(),
            "own": self.own,
            "per_channel": self.per_channel,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
