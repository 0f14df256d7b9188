"""Agreement of an exported file with the network in Keras, task by task."""

from collections.abc import Sequence

import numpy as np

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

_TOLERANCE = 1e-3  # standard deviations
_ROUNDING = 1e-6  # of the largest value
_OTHER_CLASSES = 1e-3  # share of the pixels, where two classes are equally likely


class Difference(float):
    """Difference of an output to Keras: a number, with a text that says what it is.

    Args:
        value: the number.
        text: the number with its unit.

    Attributes:
        text: as given.

    Examples:
        >>> Difference(0.25, "0.25 m in the mean").text
        '0.25 m in the mean'
    """

    text: str

    def __new__(cls, value: float, text: str) -> "Difference":
        """Create the number with its text."""
        difference = super().__new__(cls, value)
        difference.text = text
        return difference


def largest_difference(
    name: str, expected: Sequence[np.ndarray], received: Sequence[np.ndarray]
) -> Difference:
    """Return the maximum absolute difference of an output, of class ids the share that differs.

    Args:
        name: of the output, for the error.
        expected: from Keras, one array by image.
        received: from the file.

    Raises:
        RuntimeError: if it is too large for rounding.
    """
    largest = 0.0
    for one, other in zip(expected, received, strict=True):
        if one.shape != other.shape:
            raise RuntimeError(
                f"{name} has the shape {other.shape} in the file and {one.shape} in Keras: nothing "
                "was written"
            )
        if np.issubdtype(one.dtype, np.integer):
            difference, limit = float(np.mean(one != other)), _OTHER_CLASSES
            reason = f"at most {limit:.1%} of the pixels may have another class"
        else:
            difference = float(np.abs(other - one).max())
            spread = float(np.std(one))
            limit = _TOLERANCE * spread + _ROUNDING * float(np.abs(one).max())
            reason = f"its standard deviation is {spread:g}"
        if not difference <= limit:
            raise RuntimeError(
                f"{name} differs from Keras by {difference:g}, {reason}: nothing was written"
            )
        largest = max(largest, difference)
    return Difference(largest, f"differs from Keras by {largest:.2g} at most")


def mean_difference(
    task: Task, expected: Sequence[np.ndarray], received: Sequence[np.ndarray]
) -> Difference:
    """Return the mean difference of the numbers of a task.

    Args:
        task: the task.
        expected: its numbers, as `Prediction` has them, one array by image.
        received: likewise.

    Returns:
        Of class ids the share of the pixels with another, of unit vectors the angle in degrees,
        else the absolute difference.
    """
    pairs = list(zip(expected, received, strict=True))
    if task.kind is TargetKind.CLASSES:
        share = float(np.mean([np.mean(one != other) for one, other in pairs]))
        return Difference(share, f"{share:.2%} of the pixels have another class than in float32")
    if task.kind is TargetKind.DIRECTION:
        angle = float(np.mean([_angles_deg(one, other).mean() for one, other in pairs]))
        return Difference(angle, f"differs from float32 by {angle:.2f}° in the mean")
    mean = float(np.mean([np.abs(one - other).mean() for one, other in pairs]))
    unit = " m" * (task.kind is TargetKind.DISTANCE)
    return Difference(mean, f"differs from float32 by {mean:.4f}{unit} in the mean")


def _angles_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosines = (one * other).sum(-1) / np.maximum(lengths, 1e-12)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))
