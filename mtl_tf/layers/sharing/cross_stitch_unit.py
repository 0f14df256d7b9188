"""Cross-stitch unit: learned linear mixtures of the features of K tasks."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops


def identity_like(num: int, own: float) -> np.ndarray:
    """Return `[num, num]` float32 with `own` on the diagonal and rows that sum to 1."""
    if num == 1:
        return np.ones((1, 1), np.float32)
    matrix = np.full((num, num), (1.0 - own) / (num - 1), np.float32)
    np.fill_diagonal(matrix, own)
    return matrix


@keras.saving.register_keras_serializable(package="mtl_tf")
class CrossStitchUnit(keras.layers.Layer):
    """`y_i = Σ_j w_ij x_j` for the features of K tasks after the same stage of K networks.

    where `x_j` are the features of task j and `w_ij` is the learned weight of task j for task i.

    Source: Misra et al., "Cross-Stitch Networks for Multi-Task Learning", CVPR 2016, equation 1.

    Args:
        own: initial weight of a task's own features; the others share `1 - own`.
        per_channel: whether weights are per channel, as in the survey, or shared by all channels,
            as in the paper.
        learning_rate_multiplier: multiplier of the learning rate of the weights.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: list of K features `[B, h, w, C]`. Returns such a list.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> unit = mtl.layers.CrossStitchUnit(own=0.9)
        >>> unit([keras.ops.ones((1, 4, 4, 8))] * 2)[0].shape
        TensorShape([1, 4, 4, 8])
    """

    def __init__(
        self,
        own: float = 0.9,
        *,
        per_channel: bool = True,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own = own
        self.per_channel = per_channel
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, input_shape: Sequence[tuple[int, ...]]) -> None:
        """Create the weights `[K, K, C]`, or `[K, K, 1]` without `per_channel`."""
        num_tasks, channels = len(input_shape), input_shape[0][-1]
        initial = np.repeat(
            identity_like(num_tasks, self.own)[:, :, None],
            channels if self.per_channel else 1,
            axis=2,
        )
        self.mixing = self.add_weight(
            shape=initial.shape, initializer=lambda *_, **__: initial, name="mixing"
        )
        self.mixing.learning_rate_multiplier = self.learning_rate_multiplier

    def call(self, features: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the mixed features."""
        return ops.cross_stitch(features, self.mixing)

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> list[tuple[int | None, ...]]:
        """Return the shapes of the input."""
        return list(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {
            **super().get_config(),
            "own": self.own,
            "per_channel": self.per_channel,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
