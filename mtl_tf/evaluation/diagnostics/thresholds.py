"""Precision and recall of regions and boundaries at every threshold.

A predicted boundary pixel is right if a true one is within the tolerance, a true one is detected if
a predicted one is: the rule of `mtl_tf.metrics.EdgeMetrics`. The largest probability within the
tolerance decides at which thresholds a true pixel is detected, so two histograms of probabilities
answer all thresholds at once.
"""

from typing import Any

import cv2
import numpy as np

from mtl_tf.metrics.edges import radius_pixels

_NUM_BINS = 100


class Thresholds:
    """Precision, recall and F at thresholds of 0.01 to 0.99.

    Source: Martin, Fowlkes & Malik, TPAMI 2004 (curves of boundaries), without their matching.

    Args:
        tolerance: localisation tolerance as a fraction of the image diagonal; 0 for regions.

    Examples:
        >>> curve = Thresholds()
        >>> curve.add(np.ones((1, 2, 1)), np.array([[[0.9], [0.3]]]), np.ones((1, 2), bool))
        >>> curve.result()["best"]["f"], curve.result()["best"]["threshold"]
        (1.0, 0.3)
    """

    def __init__(self, tolerance: float = 0.0) -> None:
        self._tolerance = tolerance
        self._predicted, self._right, self._detected = np.zeros((3, _NUM_BINS))

    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None:
        """Add an image.

        Args:
            target: `[H, W, 1]`, positive where >= 0.5.
            prediction: probabilities `[H, W, 1]`.
            valid: bool `[H, W]`.
        """
        is_target = (target[..., 0] >= 0.5) & valid
        score = np.where(valid, prediction[..., 0], 0.0).astype(np.float32)
        near_target, best_near = is_target, score
        radius = int(radius_pixels(self._tolerance, target[None]))
        if radius:
            window = np.ones((2 * radius + 1,) * 2, np.uint8)
            near_target = cv2.dilate(is_target.astype(np.uint8), window) > 0
            best_near = cv2.dilate(score, window)
        self._predicted += _histogram(score[valid])
        self._right += _histogram(score[valid & near_target])
        self._detected += _histogram(best_near[is_target])

    def result(self) -> dict[str, Any]:
        """Return the curve and its best point.

        Returns:
            `curve`: lists `threshold`, `precision`, `recall` and `f`; `best`: the point with the
            largest F; `tolerance`. Fractions.
        """
        predicted, right, detected = (
            np.cumsum(counts[::-1])[::-1][1:]
            for counts in (self._predicted, self._right, self._detected)
        )
        precision = right / np.maximum(predicted, 1.0)
        recall = detected / max(self._detected.sum(), 1.0)
        f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        curve = {
            "threshold": (np.arange(1, _NUM_BINS) / _NUM_BINS).round(2),
            "precision": precision,
            "recall": recall,
            "f": f,
        }
        best = int(np.flatnonzero(f == f.max())[-1])  # the highest of equal ones
        return {
            "curve": {name: values.tolist() for name, values in curve.items()},
            "best": {name: float(values[best]) for name, values in curve.items()},
            "tolerance": self._tolerance,
        }


def _histogram(scores: np.ndarray) -> np.ndarray:
    """Count probabilities in bins that begin at 0, 0.01, ..., 0.99."""
    bins = np.clip((scores.astype(np.float64) * _NUM_BINS + 1e-4).astype(int), 0, _NUM_BINS - 1)
    return np.bincount(bins, minlength=_NUM_BINS).astype(np.float64)
