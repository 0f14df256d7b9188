"""Labels of one image by several annotators, merged into one."""

from collections.abc import Sequence

import numpy as np

from mtl_tf.data.folder.encodings import Decoded
from mtl_tf.targets import TargetKind

AGREEMENT = {TargetKind.BINARY: 0.5, TargetKind.BOUNDARY: 0.3}
"""Default share of the annotators that makes a pixel 1: boundaries rarely coincide."""


def merge(labels: Sequence[Decoded], kind: TargetKind, agreement: float | None = None) -> Decoded:
    """Merge the labels of several annotators.

    Class ids: the most frequent one; pixels with a tie have no label. Regions and boundaries: 1
    where the share of annotators reaches `agreement`, 0 where nobody marked the pixel, no label
    between. Other kinds: the mean.

    Args:
        labels: target `[H, W]` or `[H, W, C]` and mask `[H, W]` of each annotator.
        kind: of the target.
        agreement: share of the annotators, by default that of `AGREEMENT`.

    Returns:
        Target and mask, like those of one annotator.
    """
    if len(labels) == 1 and agreement is None:
        return labels[0]
    masks = np.stack([mask for _, mask in labels])
    targets = np.stack([target for target, _ in labels])
    if kind is TargetKind.CLASSES:
        return _most_frequent(targets, masks)
    count = masks.sum(0)
    weights = masks if targets.ndim == masks.ndim else masks[..., None]
    total = (targets * weights).sum(0, dtype=np.float64)
    mean = total / np.maximum(weights.sum(0), 1)
    mask = count > 0
    if kind in AGREEMENT:
        threshold = AGREEMENT[kind] if agreement is None else agreement
        is_marked = mean >= threshold
        return is_marked.astype(np.float32), mask & (is_marked | (mean == 0))
    if kind is TargetKind.DIRECTION:
        length = np.linalg.norm(mean, axis=-1)
        mask &= length > 0.5  # opposite opinions have no mean
        mean = mean / np.maximum(length, 0.5)[..., None]
        mean = np.where(mask[..., None], mean, 0)
    return mean.astype(np.float32), mask


def _most_frequent(targets: np.ndarray, masks: np.ndarray) -> Decoded:
    classes = np.unique(targets[masks])
    if not classes.size:
        return targets[0], masks[0]
    votes = np.stack([((targets == c) & masks).sum(0) for c in classes])
    first = votes.argmax(0)
    largest = votes.max(0)
    is_clear = ((votes == largest).sum(0) == 1) & (largest > 0)
    return np.where(is_clear, classes[first], 0).astype(np.int32), is_clear
