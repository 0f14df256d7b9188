"""Agreement of an exported file with the network in Keras, task by task."""

from collections.abc import Sequence

import numpy as np

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

_TOLERANCE = 1e-3  # standard deviations
_ROUNDING = 1e-4  # of the largest value, for outputs without a spread
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


def rounding_difference(name: str, expected: np.ndarray, received: np.ndarray) -> float:
    """Return the maximum absolute difference of an output, of class ids the share that differs.

    Args:
        name: of the output, for the error.
        expected: from Keras.
        received: from the file.

    Raises:
        RuntimeError: if it is too large for rounding.
    """
    _check_output(name, expected, received)
    if np.issubdtype(expected.dtype, np.integer):
        difference, limit = float(np.mean(expected != received)), _OTHER_CLASSES
        reason = f"at most {limit:.1%} of the pixels may have another class"
    else:
        difference = float(np.abs(received - expected).max())
        spread = float(np.std(expected))
        limit = max(_TOLERANCE * spread, _ROUNDING * float(np.abs(expected).max()))
        reason = f"its standard deviation is {spread:g}"
    if not difference <= limit:
        raise RuntimeError(
            f"{name} differs from Keras by {difference:g}, {reason}: nothing was written"
        )
    return difference


def precision_difference(
    name: str, task: Task | None, expected: np.ndarray, received: np.ndarray
) -> float:
    """Return the mean difference of the numbers of a task.

    Args:
        name: of the output, for the error.
        task: the task; `None` if it is unknown.
        expected: its numbers, as `Prediction` has them.
        received: likewise.

    Returns:
        Of class ids the share of the pixels with another, of unit vectors the angle in degrees,
        else the absolute difference.

    Raises:
        RuntimeError: if numbers are NaN or infinite.
    """
    _check_output(name, expected, received)
    if not np.isfinite(received).all():
        raise RuntimeError(
            f"{name} has NaN or infinity in this precision: nothing was written. Use float32"
        )
    if task is not None and task.kind is TargetKind.CLASSES:
        return float(np.mean(expected != received))
    if task is not None and task.kind is TargetKind.DIRECTION:
        lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(received, axis=-1)
        cosines = (expected * received).sum(-1) / np.maximum(lengths, 1e-12)
        return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).mean())
    return float(np.abs(expected - received).mean())


def _check_output(name: str, expected: np.ndarray, received: np.ndarray) -> None:
    if received.shape != expected.shape:
        raise RuntimeError(
            f"{name} has the shape {received.shape} in the file and {expected.shape} in Keras: "
            "nothing was written"
        )


def largest(differences: Sequence[float]) -> Difference:
    """Return the largest of the differences of several images."""
    value = max(differences)
    return Difference(value, f"differs from Keras by {value:.2g} at most")


def mean(differences: Sequence[float], task: Task | None) -> Difference:
    """Return the mean of the differences of several images, in the unit of a task."""
    value = float(np.mean(differences))
    kind = None if task is None else task.kind
    if kind is TargetKind.CLASSES:
        return Difference(value, f"{value:.2%} of the pixels have another class than in float32")
    if kind is TargetKind.DIRECTION:
        return Difference(value, f"differs from float32 by {value:.2f}° in the mean")
    unit = " m" * (kind is TargetKind.DISTANCE)
    return Difference(value, f"differs from float32 by {value:.4f}{unit} in the mean")
