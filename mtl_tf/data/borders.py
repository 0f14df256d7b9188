"""Edges between the regions of a label map."""

import numpy as np


def borders(labels: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Mark pixels with a 4-neighbour of another known label.

    Args:
        labels: `[H, W]` ids of classes or instances.
        known: `[H, W]` bool; borders of unlabelled pixels are not marked. `None`: all are known.

    Returns:
        `[H, W]` float32, 1 on both sides of each border, 0 elsewhere.
    """
    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        previous = tuple(slice(None, -1) if i == axis else slice(None) for i in (0, 1))
        following = tuple(slice(1, None) if i == axis else slice(None) for i in (0, 1))
        border = labels[previous] != labels[following]
        if known is not None:
            border = border & known[previous] & known[following]
        edges[previous] |= border
        edges[following] |= border
    return edges.astype(np.float32)
