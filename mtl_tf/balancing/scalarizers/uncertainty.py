"""Uncertainty weighting (Kendall, Gal, Cipolla, CVPR 2018, Eq. 7; survey, section 3.1)."""

from typing import Any

import keras
from keras import ops

from mtl_tf.balancing.base import Scalarizer

_LOG_VARIANCE_LIMIT = 10.0


def uncertainty(losses: Any, log_variances: Any, is_present: Any) -> Any:
    """`sum_i exp(-v_i) / 2 * losses_i + v_i / 2` over present tasks; all `[K]`, `v = log σ²`."""
    terms = 0.5 * (ops.exp(-log_variances) * losses + log_variances)
    return ops.sum(ops.where(is_present, terms, ops.zeros_like(terms)))


@keras.saving.register_keras_serializable(package="mtl_tf")
class Uncertainty(Scalarizer):
    """Learned weights `exp(-v) / 2`, with `v` the log variance of each task's noise.

    `Uncertainty()(losses [K])` -> scalar. The log variances are trainable and updated by the
    trainer's optimizer, without weight decay; they stay within ±10. The scalar may be negative.

    Source: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR
    2018, Eq. 7, with one form for all losses.

    Args:
        initial_log_variance: start of `v`; -0.5 gives weights of 0.82.
        name: name of the layer.

    Raises:
        ValueError: if `initial_log_variance` is beyond ±10.
    """

    def __init__(self, initial_log_variance: float = -0.5, name: str | None = None) -> None:
        super().__init__(name=name)
        if not abs(initial_log_variance) <= _LOG_VARIANCE_LIMIT:
            raise ValueError(
                f"initial_log_variance must be within ±{_LOG_VARIANCE_LIMIT:g}. "
                f"Received: {initial_log_variance}"
            )
        self.initial_log_variance = initial_log_variance

    def build(self, losses_shape: tuple[int, ...]) -> None:
        """Makes one log variance for each of the `[K]` losses."""
        self.log_variances = self.add_weight(
            shape=(losses_shape[0],),
            initializer=keras.initializers.Constant(self.initial_log_variance),
            constraint=_clipped,
            name="log_variances",
        )

    def call(self, losses: Any, is_present: Any | None = None) -> Any:
        """The sum of the present tasks' terms."""
        losses = ops.convert_to_tensor(losses)
        if is_present is None:
            is_present = ops.ones_like(losses, dtype="bool")
        return uncertainty(losses, ops.cast(self.log_variances, losses.dtype), is_present)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"initial_log_variance": self.initial_log_variance, "name": self.name}


def _clipped(log_variances: Any) -> Any:
    return ops.clip(log_variances, -_LOG_VARIANCE_LIMIT, _LOG_VARIANCE_LIMIT)
