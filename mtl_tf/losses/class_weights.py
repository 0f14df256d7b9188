"""Weights of classes from how often they occur."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, get_args

import numpy as np

from mtl_tf.targets import TargetKind

Rule = Literal["median_frequency", "log"]


class Labelled(Protocol):
    """The part of a `mtl_tf.data.DenseDataset` that is read."""

    @property
    def specs(self) -> Mapping[str, Any]:
        """`{task: spec}` with the `kind` and the `channels` of each target."""

    def batches(self, split: str) -> Iterable[Any]:
        """Return the batches of a split."""


def class_frequencies(dataset: Labelled, task: str, split: str = "train") -> np.ndarray:
    """Count the classes of a task.

    Args:
        dataset: the data set; all images of the split are read, without augmentation.
        task: name of a task of class ids.
        split: `"train"`, `"val"` or `"test"`.

    Returns:
        Fraction of the valid pixels of each class, `[C]` float64; zeros without a valid pixel.

    Raises:
        ValueError: for a task without classes.
    """
    spec = dataset.specs.get(task)
    if spec is None or spec.kind is not TargetKind.CLASSES:
        raise ValueError(
            f"task must be one of class ids among those of the data set. "
            f"Received: {task!r} of {list(dataset.specs)}"
        )
    counts = np.zeros(spec.channels, np.int64)
    for _, targets, masks in dataset.batches(split):
        labels, is_valid = targets[task].numpy()[..., 0], masks[task].numpy() > 0
        counts += np.bincount(labels[is_valid].ravel().astype(np.int64), minlength=counts.size)
    return counts / max(counts.sum(), 1)


def class_weights(dataset: Labelled, task: str, rule: Rule = "median_frequency") -> list[float]:
    """Return weights of the classes of a task for `SegmentationCrossEntropy`.

    `median_frequency`: median(f) / f_c, of the frequencies f of the classes that occur, at most 10;
    `log`: 1 / log(1.02 + f_c). The weights are scaled to a mean of 1 over the classes that occur;
    the others have the largest weight.

    Source: Eigen & Fergus, ICCV 2015 (median frequency); Paszke et al., ENet, 2016 (log).

    Args:
        dataset: the data set, whose training images are counted.
        task: name of a task of class ids.
        rule: the rule.

    Returns:
        A number for each of the C classes.

    Raises:
        ValueError: for another rule, a task without classes, or one without a valid pixel.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule must be one of {get_args(Rule)}. Received: {rule!r}")
    frequencies = class_frequencies(dataset, task)
    occurs = frequencies > 0
    if not occurs.any():
        raise ValueError(f"No training image has a valid pixel of task {task!r}")
    present = frequencies[occurs]
    if rule == "log":
        weights = 1.0 / np.log(1.02 + present)
    else:
        weights = np.minimum(np.median(present) / present, 10.0)
    weights = weights / weights.mean()
    of_all = np.full(frequencies.size, weights.max())
    of_all[occurs] = weights
    return of_all.tolist()
