"""Scores of single classes, from a confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def class_scores(confusion: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scores of each class.

    Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2015 (IoU).

    Args:
        confusion: `[C, C]` pixel counts, targets in rows, predictions in columns.
        names: C class names; missing ones become numbers.

    Returns:
        A dictionary of each class: `name`, `iou`, `precision`, `recall`, and `share` of the valid
        pixels, as fractions. Scores without any pixel are `None`.

    Examples:
        >>> class_scores(np.array([[8, 2], [0, 10]]), ["wall", "floor"])[0]["iou"]
        0.8
    """
    counts = np.asarray(confusion, np.float64)
    hits, targets, predictions = np.diag(counts), counts.sum(1), counts.sum(0)
    names = [*names, *map(str, range(len(names), len(counts)))]
    return [
        {
            "name": names[c],
            "iou": _ratio(hits[c], targets[c] + predictions[c] - hits[c]),
            "precision": _ratio(hits[c], predictions[c]),
            "recall": _ratio(hits[c], targets[c]),
            "share": _ratio(targets[c], counts.sum()),
        }
        for c in range(len(counts))
    ]


def confusion_shares(confusion: np.ndarray) -> np.ndarray:
    """Return the confusion matrix `[C, C]` as fractions of each target class; absent ones are 0."""
    counts = np.asarray(confusion, np.float64)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1.0)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
