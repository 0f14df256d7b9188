"""Kinds of prediction targets: dtype, valid values, and the effect of augmentation.

All code that handles targets (loading, augmentation, checks, colours, metrics) depends on the kind,
never on the name of a task.
"""

import enum
from typing import TypeVar

import numpy as np

from mtl_tf.typing import Tensor

LARGEST_DEPTH_M = 1000.0
"""Larger depths, in metres, are rejected as values in another unit."""

_MAX_FLOAT = float(np.finfo(np.float32).max)
_Values = TypeVar("_Values", np.ndarray, Tensor)


class TargetKind(enum.Enum):
    """Kind of a prediction target.

    ============ ================================ ============================== ===============
    kind         values `[H, W, C]`               flip, zoom, rotation           resizing
    ============ ================================ ============================== ===============
    `CLASSES`    class ids, C = 1, int32          move pixels only               nearest
    `BINARY`     regions, 0 to 1                  move pixels only               nearest
    `BOUNDARY`   thin lines, 0 to 1               move pixels only               keeps every line
    `DIRECTION`  unit vectors: x right, y up,     flip negates x, rotation       bicubic, then
                 z towards the camera, C = 3      rotates x and y                unit length
    `DISTANCE`   metres from the camera           zoom divides                   nearest
    `VALUES`     any numbers                      move pixels only               nearest
    ============ ================================ ============================== ===============

    The target of a whole image is `[C]` instead of `[H, W, C]`; flips and zooms do not move it.

    Source: this library.

    Attributes:
        CLASSES: class ids.
        BINARY: regions.
        BOUNDARY: thin lines.
        DIRECTION: unit vectors.
        DISTANCE: metres from the camera.
        VALUES: any numbers.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.TargetKind.CLASSES.target_channels(21), mtl.TargetKind.DIRECTION.target_channels(3)
        (1, 3)
    """

    CLASSES = "classes"
    BINARY = "binary"
    BOUNDARY = "boundary"
    DIRECTION = "direction"
    DISTANCE = "distance"
    VALUES = "values"

    @property
    def dtype(self) -> type[np.generic]:
        """Dtype of the target: int32 for class ids, else float32."""
        return np.int32 if self is TargetKind.CLASSES else np.float32

    def target_channels(self, channels: int) -> int:
        """Return the channels of the target of a task whose prediction has `channels`."""
        return 1 if self is TargetKind.CLASSES else channels

    def limits(self, channels: int) -> tuple[float, float]:
        """Return the minimum and maximum of valid values of `measured`."""
        return {
            TargetKind.CLASSES: (0, channels - 1),
            TargetKind.BINARY: (0, 1),
            TargetKind.BOUNDARY: (0, 1),
            TargetKind.DIRECTION: (0.81, 1.21),
            TargetKind.DISTANCE: (0, LARGEST_DEPTH_M),
            TargetKind.VALUES: (-_MAX_FLOAT, _MAX_FLOAT),
        }[self]

    def measured(self, target: _Values, channels: int) -> _Values:
        """Return the values that must be within `limits`: the target, or squared vector lengths.

        Args:
            target: `[..., C]`, a NumPy array or a TensorFlow tensor.
            channels: channels of the prediction, such as the number of classes.

        Returns:
            `[..., C]`; squared lengths are `[..., 1]`.
        """
        if self is not TargetKind.DIRECTION:
            return target
        return sum(target[..., i] * target[..., i] for i in range(channels))[..., None]

    def problem(self, target: np.ndarray, mask: np.ndarray, channels: int) -> str | None:
        """Return a description of invalid values of a target, or `None`.

        Args:
            target: `[..., C]`.
            mask: bool `[...]`.
            channels: channels of the prediction, such as the number of classes.
        """
        low, high = self.limits(channels)
        value = self.measured(target, channels)
        may_be_fractional = self is TargetKind.CLASSES and value.dtype.kind == "f"
        is_within = low <= value.min(initial=low) and value.max(initial=low) <= high
        if is_within and not may_be_fractional:  # NaN is not within
            return None
        is_invalid = ~((value >= low) & (value <= high))
        if may_be_fractional:
            is_invalid |= value % 1 != 0
        is_invalid &= mask[..., None]
        count = int(is_invalid.any(-1).sum())
        return self.message(value[is_invalid].flat[0], channels, count) if count else None

    def message(self, value: object, channels: int, count: int = 0) -> str:
        """Return `has the value 255 (7 times): class ids must be ...`, for errors."""
        what = "vectors of squared length" if self is TargetKind.DIRECTION else "the value"
        times = f" ({count} times)" if count else ""
        return f"has {what} {value}{times}: {self.expectation(channels)}"

    def expectation(self, channels: int) -> str:
        """Return the expected values and the remedy, for error messages."""
        return {
            TargetKind.CLASSES: f"class ids must be whole numbers in 0..{channels - 1}: set the "
            "validity mask to 0 where there is no class (255, -1, ...), or shift the ids",
            TargetKind.BINARY: "values must lie between 0 and 1: divide 0 and 255 by 255",
            TargetKind.BOUNDARY: "values must lie between 0 and 1: divide 0 and 255 by 255",
            TargetKind.DISTANCE: f"distances must be metres, 0 to {LARGEST_DEPTH_M:g}: divide "
            "millimetres by 1000, and set the validity mask to 0 where depth is unknown",
            TargetKind.DIRECTION: "vectors must have unit length: decode colours as 2 * rgb / 255 "
            "- 1, normalise, and set the validity mask to 0 where there is no normal",
            TargetKind.VALUES: "values must be finite numbers: set the validity mask to 0 where "
            "there is none",
        }[self]


KINDS = {
    "semseg": TargetKind.CLASSES,
    "human_parts": TargetKind.CLASSES,
    "saliency": TargetKind.BINARY,
    "edges": TargetKind.BOUNDARY,
    "normals": TargetKind.DIRECTION,
    "depth": TargetKind.DISTANCE,
    "keypoints": TargetKind.VALUES,
    "principal_curvature": TargetKind.VALUES,
}
"""Kinds of the targets that this library knows by name."""


def kind_of(name: str, target: np.ndarray | None = None, channels: int | None = None) -> TargetKind:
    """Return the kind of a target, inferred from its name and an example.

    Args:
        name: name of the task; names of `KINDS` take precedence.
        target: an example; integers are class ids.
        channels: channels of the prediction, if known; a single one excludes class ids.

    Returns:
        The kind; `VALUES` by default.
    """
    if name in KINDS:
        return KINDS[name]
    is_whole = target is not None and np.asarray(target).dtype.kind in "iu"
    return TargetKind.CLASSES if is_whole and channels != 1 else TargetKind.VALUES
