"""Kinds of prediction targets: dtype, values, and the effect of a flip or a zoom.

Everything that handles targets (loading, augmentation, checks, colours, metrics) asks for the kind,
never for the name of a task.
"""

import enum
from typing import Any

import numpy as np

LARGEST_DEPTH_M = 1000.0
"""Depths beyond it are taken for another unit."""

_LARGEST = float(np.finfo(np.float32).max)


class TargetKind(enum.Enum):
    """The kinds of targets.

    ============ ================================ ============================== ===============
    kind         values `[H, W, C]`               flip, zoom, rotation           resizing
    ============ ================================ ============================== ===============
    `CLASSES`    class ids, C = 1, int32          move pixels only               nearest
    `BINARY`     regions, 0 to 1                  move pixels only               nearest
    `BOUNDARY`   thin lines, 0 to 1               move pixels only               keeps every line
    `DIRECTION`  unit vectors: x right, y up,     flip negates x, rotation       bicubic, then
                 z towards the camera, C = 3      turns x and y                  unit length
    `DISTANCE`   metres from the camera           zoom divides                   nearest
    `VALUES`     any numbers                      move pixels only               nearest
    ============ ================================ ============================== ===============

    A target of a whole image is `[C]` in place of `[H, W, C]`; pixels do not move in it.

    Source: this library.

    Attributes:
        CLASSES: class ids.
        BINARY: regions.
        BOUNDARY: thin lines.
        DIRECTION: unit vectors.
        DISTANCE: metres from the camera.
        VALUES: any numbers.
    """

    CLASSES = "classes"
    BINARY = "binary"
    BOUNDARY = "boundary"
    DIRECTION = "direction"
    DISTANCE = "distance"
    VALUES = "values"

    @property
    def dtype(self) -> type[np.generic]:
        """int32 for class ids, else float32."""
        return np.int32 if self is TargetKind.CLASSES else np.float32

    def target_channels(self, channels: int) -> int:
        """Channels of the target of a task whose prediction has `channels`."""
        return 1 if self is TargetKind.CLASSES else channels

    def limits(self, channels: int) -> tuple[float, float]:
        """The least and the greatest value that `measured` can have."""
        return {
            TargetKind.CLASSES: (0, channels - 1),
            TargetKind.BINARY: (0, 1),
            TargetKind.BOUNDARY: (0, 1),
            TargetKind.DIRECTION: (0.81, 1.21),
            TargetKind.DISTANCE: (0, LARGEST_DEPTH_M),
            TargetKind.VALUES: (-_LARGEST, _LARGEST),
        }[self]

    def measured(self, target: Any, channels: int) -> Any:
        """Return the values that must lie in `limits`: the channels, or squared vector lengths.

        Args:
            target: `[..., C]`, a NumPy array or a TensorFlow tensor.
            channels: of the prediction: the number of classes.

        Returns:
            `[..., C]`, of lengths `[..., 1]`.
        """
        if self is not TargetKind.DIRECTION:
            return target
        return sum(target[..., i] * target[..., i] for i in range(channels))[..., None]

    def problem(self, target: np.ndarray, mask: np.ndarray, channels: int) -> str | None:
        """Return a description of invalid values of a target, or `None`.

        Args:
            target: `[..., C]`.
            mask: bool `[...]`.
            channels: of the prediction: the number of classes.
        """
        low, high = self.limits(channels)
        value = self.measured(target, channels)
        may_have_parts = self is TargetKind.CLASSES and value.dtype.kind == "f"
        is_within = low <= value.min(initial=low) and value.max(initial=low) <= high
        if is_within and not may_have_parts:  # NaN is not within
            return None
        is_wrong = ~((value >= low) & (value <= high))
        if may_have_parts:
            is_wrong |= value % 1 != 0
        is_wrong &= mask[..., None]
        count = int(is_wrong.any(-1).sum())
        return self.message(value[is_wrong].flat[0], channels, count) if count else None

    def message(self, value: Any, channels: int, count: int = 0) -> str:
        """`has the value 255 (7 times): class ids must be ...`, for errors."""
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
    "semseg": TargetKind.CLASSES, "human_parts": TargetKind.CLASSES,
    "saliency": TargetKind.BINARY, "edges": TargetKind.BOUNDARY,
    "normals": TargetKind.DIRECTION, "depth": TargetKind.DISTANCE,
    "keypoints": TargetKind.VALUES, "principal_curvature": TargetKind.VALUES,
}  # fmt: skip
"""The kinds of the targets this library knows by name."""


def kind_of(name: str, target: np.ndarray | None = None, channels: int | None = None) -> TargetKind:
    """The kind of a target of which nothing but a name, and perhaps an example, is known.

    Args:
        name: of the task; one of `KINDS` decides.
        target: an example; whole numbers are class ids.
        channels: of the prediction, if known; one alone is no number of classes.

    Returns:
        The kind; `VALUES` where nothing tells.
    """
    if name in KINDS:
        return KINDS[name]
    is_whole = target is not None and np.asarray(target).dtype.kind in "iu"
    return TargetKind.CLASSES if is_whole and channels != 1 else TargetKind.VALUES
