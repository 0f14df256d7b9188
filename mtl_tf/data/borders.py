"""Edges from label maps: where two regions meet."""

import numpy as np


def borders(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Edges between regions: pixels whose neighbour in the row or column has another known label.

    Args:
        labels: `[H, W]` ids of classes or instances.
        known: `[H, W]` bool; borders with unlabelled pixels do not count.

    Returns:
        `[H, W]` float32, 0 or 1, on both sides of each border.
    """
    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        before = tuple(slice(None, -1) if i == axis else slice(None) for i in (0, 1))
        after = tuple(slice(1, None) if i == axis else slice(None) for i in (0, 1))
        border = (labels[before] != labels[after]) & known[before] & known[after]
        edges[before] |= border
        edges[after] |= border
    return edges.astype(np.float32)
