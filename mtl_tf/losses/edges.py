"""Class-balanced sigmoid cross-entropy of edges and saliency (HED, Xie & Tu 2015, Eq. 2)."""

from typing import Any

import keras
from keras import ops

from mtl_tf.losses.base import DenseLoss, weighted_mean
from mtl_tf.targets import TargetKind
from mtl_tf.typing import Tensor


def balanced_binary_cross_entropy(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, positive_weight: float | None
) -> Tensor:
    """Return the sigmoid cross-entropy, positives weighted by `w` and negatives by `1 - w`.

    Args:
        y_true: labels `[B, H, W, 1]`, positive where >= 0.5.
        y_pred: logits `[B, H, W, 1]` float32.
        weights: validity mask `[B, H, W]` float32.
        positive_weight: `w`, or `None` for the share of negatives among the batch's valid pixels.

    Returns:
        float32 scalar: the weighted sum divided by the number of valid pixels.
    """
    logits = ops.squeeze(y_pred, -1)
    is_positive = ops.cast(ops.squeeze(y_true, -1) >= 0.5, "float32")
    if positive_weight is None:
        positive_weight = weighted_mean(1.0 - is_positive, weights)
    balance = is_positive * positive_weight + (1.0 - is_positive) * (1.0 - positive_weight)
    values = ops.softplus(logits * (1.0 - 2.0 * is_positive))
    return weighted_mean(balance * values, weights)


@keras.saving.register_keras_serializable(package="mtl_tf")
class BalancedBinaryCrossEntropy(DenseLoss):
    """Class-balanced sigmoid cross-entropy, mean over valid pixels: edges and saliency.

    Call arguments: `y_true` labels `[B, H, W, 1]`, positive where >= 0.5; `y_pred` logits
    `[B, H, W, 1]`; `sample_weight` validity mask `[B, H, W]`. Returns a float32 scalar.

    Source: HED (Xie & Tu 2015, Eq. 2); Vandenhende et al., TPAMI 2021, section 4 (0.95 for edges,
    the share of negatives of the batch for saliency).

    Args:
        positive_weight: weight `w` in (0, 1) of positive pixels, negatives get `1 - w`; `None`
            takes the share of negatives among the valid pixels of each batch.
        name: name of the loss.

    Raises:
        ValueError: if `positive_weight` is not in (0, 1), or shapes do not fit together.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> y_true = keras.ops.ones((1, 4, 4, 1))
        >>> mtl.losses.BalancedBinaryCrossEntropy(positive_weight=0.95)(y_true, y_true).shape
        TensorShape([])
    """

    kind = TargetKind.BINARY

    def __init__(
        self, positive_weight: float | None = None, name: str = "balanced_binary_cross_entropy"
    ) -> None:
        super().__init__(name=name)
        if positive_weight is not None and not 0.0 < positive_weight < 1.0:
            raise ValueError(
                "positive_weight must be between 0 and 1, or None for the share of negatives. "
                f"Received: {positive_weight}"
            )
        self.positive_weight = positive_weight

    def masked(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        """Return `balanced_binary_cross_entropy` of the batch."""
        return balanced_binary_cross_entropy(y_true, y_pred, weights, self.positive_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "positive_weight": self.positive_weight}
