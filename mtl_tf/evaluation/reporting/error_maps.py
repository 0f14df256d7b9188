"""Pictures of errors: where a prediction is wrong, and in which direction.

=============== ==================================================================================
kind            colours
=============== ==================================================================================
class ids       red where the class is wrong, grey where it is right
regions, lines  white where right, red where only predicted, blue where missed
distances       blue where predicted too near, red where too far
directions      dark to yellow with the angle, up to 60°
other values    dark to yellow with the mean absolute difference
=============== ==================================================================================

Invalid pixels are black.
"""

import matplotlib
import numpy as np

from mtl_tf.evaluation.reporting.colours import INVALID
from mtl_tf.metrics.normals import angular_error_deg
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

LARGEST_ANGLE_DEG = 60.0
"""Angle with the last colour."""

_RIGHT, _WRONG, _MISSED = (96, 102, 112), (224, 60, 49), (56, 132, 255)
_HIT, _NOTHING = (240, 240, 240), (40, 44, 52)


def error_map(
    task: Task,
    prediction: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    largest_error_m: float = 1.0,
    threshold: float = 0.5,
) -> np.ndarray:
    """Draw the error of a prediction.

    Args:
        task: the task.
        prediction: `[H, W, C]` after the activation: probabilities, metres, unit vectors.
        target: `[H, W, C]`.
        mask: `[H, W]`, 0 at invalid pixels.
        largest_error_m: metres of the first and the last colour of distances.
        threshold: minimum probability of a region or line.

    Returns:
        RGB `[H, W, 3]` uint8.
    """
    is_valid = _is_valid(task, target, mask)
    if task.kind is TargetKind.CLASSES:
        is_right = prediction.argmax(-1) == target[..., 0]
        picture = np.where(is_right[..., None], _RIGHT, _WRONG)
    elif task.kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
        predicted, true = prediction[..., :1] >= threshold, target[..., :1] >= 0.5
        picture = np.where(true, np.where(predicted, _HIT, _MISSED), _NOTHING)
        picture = np.where(predicted & ~true, _WRONG, picture)
    elif task.kind is TargetKind.DISTANCE:
        share = (prediction - target)[..., 0] / (2 * largest_error_m) + 0.5
        picture = matplotlib.colormaps["coolwarm"](np.clip(share, 0, 1))[..., :3] * 255
    elif task.kind is TargetKind.DIRECTION:
        angle = np.asarray(angular_error_deg(*(np.float32(x) for x in (prediction, target))))
        picture = _heat(angle / LARGEST_ANGLE_DEG)
    else:
        error = np.abs(prediction - target).mean(-1)
        picture = _heat(error / max(float(error[is_valid].max(initial=0.0)), 1e-9))
    picture = np.rint(np.nan_to_num(picture)).astype(np.uint8)
    return np.where(is_valid[..., None], picture, np.array(INVALID, np.uint8))


def error_legend(task: Task, largest_error_m: float = 1.0) -> str:
    """Return the meaning of the colours of `error_map`.

    Args:
        task: the task.
        largest_error_m: as for `error_map`.
    """
    return {
        TargetKind.CLASSES: "red: wrong class",
        TargetKind.BINARY: "white: right, red: only predicted, blue: missed",
        TargetKind.BOUNDARY: "white: right, red: only predicted, blue: missed",
        TargetKind.DISTANCE: f"blue: {largest_error_m:g} m too near, red: {largest_error_m:g} m "
        "too far",
        TargetKind.DIRECTION: f"dark: 0°, yellow: {LARGEST_ANGLE_DEG:g}° or more",
        TargetKind.VALUES: "dark: right, yellow: the largest error",
    }[task.kind]


def _is_valid(task: Task, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the pixels `[H, W]` that the metrics of the task count."""
    is_valid = np.asarray(mask) > 0
    if task.kind is TargetKind.DISTANCE:
        return is_valid & (target[..., 0] > 0)
    if task.kind is TargetKind.DIRECTION:
        return is_valid & (target != 0).any(-1)
    return is_valid


def _heat(share: np.ndarray) -> np.ndarray:
    return matplotlib.colormaps["inferno"](np.clip(share, 0, 1))[..., :3] * 255
