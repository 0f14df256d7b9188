"""Reliability of class predictions: is a confidence of 80 % right in 80 % of the pixels?"""

from typing import Any

import numpy as np

_NUM_BINS = 15


class Reliability:
    """Confidence and accuracy of class predictions, by confidence.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.

    Examples:
        >>> reliability = Reliability()
        >>> reliability.add(np.zeros((1, 2, 1), int), np.array([[[0.9, 0.1], [0.4, 0.6]]]),
        ...                 np.ones((1, 2), bool))
        >>> [(round(row["confidence"], 1), row["accuracy"]) for row in reliability.result()["bins"]]
        [(0.6, 0.0), (0.9, 1.0)]
    """

    def __init__(self) -> None:
        self._count, self._confidence, self._right = np.zeros((3, _NUM_BINS))

    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None:
        """Add an image.

        Args:
            target: class ids `[H, W, 1]`.
            prediction: probabilities `[H, W, C]`.
            valid: bool `[H, W]`.
        """
        prediction = prediction[valid]
        confidence = prediction.max(-1).astype(np.float64)
        right = prediction.argmax(-1) == target[valid][:, 0]
        bins = np.clip((confidence * _NUM_BINS).astype(int), 0, _NUM_BINS - 1)
        self._count += np.bincount(bins, minlength=_NUM_BINS)
        self._confidence += np.bincount(bins, confidence, _NUM_BINS)
        self._right += np.bincount(bins, right, _NUM_BINS)

    def result(self) -> dict[str, Any]:
        """Return the bins that hold pixels, and the expected calibration error.

        Returns:
            `bins` (dictionaries of `confidence`, `accuracy` and `share` of the pixels) and
            `calibration_error`, all as fractions.
        """
        total = self._count.sum()
        bins = [
            {
                "confidence": float(self._confidence[i] / self._count[i]),
                "accuracy": float(self._right[i] / self._count[i]),
                "share": float(self._count[i] / total),
            }
            for i in np.flatnonzero(self._count)
        ]
        gaps = np.abs(self._confidence - self._right).sum()
        return {"bins": bins, "calibration_error": float(gaps / max(total, 1.0))}
