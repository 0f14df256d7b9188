"""Aligned-MTL (Senushkin et al., CVPR 2023): principal components of one length."""

from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from mtl_tf.balancing.base import StepStatistics, Weighting
from mtl_tf.ops import BalanceReport, balance_report

Scale = Literal["min", "median", "mean"]


def aligned_mtl(gramian: tf.Tensor, scale: Scale = "min") -> BalanceReport:
    """`sqrt(s) V L^(-1/2) V' 1 / K` of `G = V L V'`, s an eigenvalue; Gramian `[K, K]`."""
    return balance_report(gramian, "aligned_mtl", scale=scale)


@keras.saving.register_keras_serializable(package="mtl_tf")
class AlignedMTL(Weighting):
    """Mean gradient after equalising the principal components of the Jacobian.

    `AlignedMTL()(gramian [K, K])` -> weights `[K]`.

    Examples:
        >>> gramian = tf.constant([[1.0, -0.5], [-0.5, 4.0]])
        >>> [round(float(w), 3) for w in mtl.balancing.AlignedMTL()(gramian)]
        [0.535, 0.286]

    Source: Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023,
    Algorithm 1; the paper takes the smallest eigenvalue.

    Args:
        scale: which eigenvalue gives the length: `"min"`, `"median"` (the lower of two) or
            `"mean"`.
        **kwargs: `name`, as of any Keras layer.

    Raises:
        ValueError: for another scale.
    """

    def __init__(self, scale: Scale = "min", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scale not in get_args(Scale):
            raise ValueError(f"scale must be one of {get_args(Scale)}. Received: {scale!r}")
        self.scale = scale

    def compute_weights(self, statistics: StepStatistics) -> BalanceReport:
        """Return the aligned weights."""
        return aligned_mtl(statistics.gramian, self.scale)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "scale": self.scale}
