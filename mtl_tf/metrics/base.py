"""Base of all dense metrics: float64 sums over valid pixels, and results as a dictionary."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from mtl_tf.ops import bilinear
from mtl_tf.targets import TargetKind
from mtl_tf.typing import TensorLike


@dataclasses.dataclass(frozen=True)
class MetricInfo:
    """Direction, unit, digits and label of a metric result.

    Source: this library.

    Attributes:
        higher_is_better: direction of improvement; `None` if unknown.
        unit: `"%"` for fractions that are reported in percent, `"m"`, `"°"`, or `""`.
        digits: decimal places of values without a unit or in metres.
        label: name in tables and plots; by default that of the metric.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.metrics.DepthMetrics.info["rmse"]
        MetricInfo(higher_is_better=False, unit='m', digits=3, label='RMSE')
    """

    higher_is_better: bool | None
    unit: str = ""
    digits: int = 3
    label: str = ""


class DenseMetric(keras.metrics.Metric, abc.ABC):
    """Base of the dense metrics: `update_state` checks and masks, `add` accumulates.

    Subclasses implement `add` and `result`.

    Examples:
        >>> import mtl_tf as mtl
        >>> issubclass(mtl.metrics.DepthMetrics, mtl.metrics.DenseMetric)
        True
    """

    info: ClassVar[Mapping[str, MetricInfo]] = {}
    """Direction, unit, digits and label of each result, by name."""

    kind: ClassVar[TargetKind | None] = None
    """Kind of the targets, if the metric is specific to one."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")

    @property
    def channels(self) -> int:
        """Channels of the prediction."""
        return 1

    def add_sum(self, name: str, shape: tuple[int, ...] = ()) -> keras.Variable:
        """Add a float64 sum of the given shape, initially zero."""
        return self.add_variable(shape=shape, initializer="zeros", dtype="float64", name=name)

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch.

        Args:
            y_true: targets `[B, H, W, C]`.
            y_pred: raw predictions `[B, H, W, C]`.
            sample_weight: validity mask `[B, H, W]`; all pixels are valid without it.

        Raises:
            ValueError: if shapes do not fit together.
        """
        targets, predictions = tf.convert_to_tensor(y_true), tf.cast(y_pred, tf.float32)
        if sample_weight is None:
            valid = tf.ones(tf.shape(targets)[:-1], tf.bool)
        else:
            valid = tf.cast(sample_weight, tf.float32) > 0
        shape = targets.shape[:-1]
        if not (
            predictions.shape.is_compatible_with([*shape, self.channels])
            and valid.shape.is_compatible_with(shape)
        ):
            raise ValueError(
                f"{type(self).__name__} needs y_true [B, H, W, C], y_pred "
                f"[B, H, W, {self.channels}] and sample_weight [B, H, W]. Received: "
                f"y_true.shape={targets.shape}, y_pred.shape={predictions.shape}, "
                f"sample_weight.shape={valid.shape}"
            )
        targets = tf.where(valid[..., None], targets, tf.zeros_like(targets))
        self.add(targets, predictions, valid)

    @abc.abstractmethod
    def add(self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor) -> None:
        """Add a batch whose targets are 0 where `valid [B, H, W] bool` is false."""

    @abc.abstractmethod
    def result(self) -> dict[str, tf.Tensor]:
        """Return the metrics by name."""

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        config = super().get_config()
        del config["dtype"]  # sums are float64
        return config


def resized(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Resize a raw prediction bilinearly to the size of its target.

    Args:
        prediction: `[B, h, w, C]`; predictions of whole images `[B, C]` are returned unchanged.
        target: `[B, H, W, C']`.

    Returns:
        The prediction `[B, H, W, C]`.
    """
    if prediction.shape.rank == 2:
        return prediction
    if prediction.shape[1:3].is_fully_defined() and prediction.shape[1:3] == target.shape[1:3]:
        return prediction
    height, width = tf.unstack(tf.shape(target)[1:3])
    return bilinear(prediction, height, width)


def sum_where(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Return the float64 sum of `values [...]` where `valid [...]`; others may be NaN."""
    values = tf.cast(values, tf.float64)
    return tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))
