"""Distribution of the angular errors of directions."""

from typing import Any

import numpy as np

from mtl_tf.metrics.normals import angular_error_deg

_BIN_DEG = 5.0
_NUM_BINS = 36


class Angles:
    """Histogram of the angles between predicted and true directions, in bins of 5°.

    Source: this library.

    Examples:
        >>> angles = Angles()
        >>> up, right = np.array([[[0.0, 1.0, 0.0]]]), np.array([[[1.0, 0.0, 0.0]]])
        >>> angles.add(up, right, np.ones((1, 1), bool))
        >>> angles.result()["shares"].index(1.0)
        18
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_BINS)

    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None:
        """Add an image.

        Args:
            target: vectors `[H, W, 3]`; zero vectors are invalid.
            prediction: vectors `[H, W, 3]`.
            valid: bool `[H, W]`.
        """
        valid = valid & (target != 0).any(-1)
        predicted, true = (x[valid].astype(np.float32) for x in (prediction, target))
        angle = np.nan_to_num(np.asarray(angular_error_deg(predicted, true)), nan=180.0)
        self._counts += np.bincount(
            np.minimum((angle / _BIN_DEG).astype(int), _NUM_BINS - 1), minlength=_NUM_BINS
        )

    def result(self) -> dict[str, Any]:
        """Return `bin_deg`, the width of a bin, and `shares`, the fraction of pixels in each."""
        shares = self._counts / max(self._counts.sum(), 1.0)
        return {"bin_deg": _BIN_DEG, "shares": shares.tolist()}
