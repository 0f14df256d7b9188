"""Predictions and targets as pictures in the usual colours.

Classes: the NYU-40 palette by class name (ScanNet's), more colours for other names. Distances: a
colour map from near to far. Directions: `(n + 1) / 2` as RGB. Regions and boundaries: grey. Other
values: a heat map of the first channel; of two channels (principal curvature) red and green.
"""

import functools
from collections.abc import Sequence

import matplotlib
import numpy as np

from mtl_tf.targets import TargetKind
from mtl_tf.tasks import TASKS, Task, as_tasks

_NYU_40 = {
    "wall": (174, 199, 232), "floor": (152, 223, 138), "cabinet": (31, 119, 180),
    "bed": (255, 187, 120), "chair": (188, 189, 34), "sofa": (140, 86, 75),
    "table": (255, 152, 150), "door": (214, 39, 40), "window": (197, 176, 213),
    "bookshelf": (148, 103, 189), "picture": (196, 156, 148), "counter": (23, 190, 207),
    "blinds": (178, 76, 76), "desk": (247, 182, 210), "shelves": (66, 188, 102),
    "curtain": (219, 219, 141), "dresser": (140, 57, 197), "pillow": (202, 185, 52),
    "mirror": (51, 176, 203), "floor mat": (200, 54, 131), "clothes": (92, 193, 61),
    "ceiling": (78, 71, 183), "books": (172, 114, 82), "refridgerator": (255, 127, 14),
    "television": (91, 163, 138), "paper": (153, 98, 156), "towel": (140, 153, 101),
    "shower curtain": (158, 218, 229), "box": (100, 125, 154), "whiteboard": (178, 127, 135),
    "person": (120, 185, 128), "night stand": (146, 111, 194), "toilet": (44, 160, 44),
    "sink": (112, 128, 144), "lamp": (96, 207, 209), "bathtub": (227, 119, 194),
    "bag": (213, 92, 176), "otherstructure": (94, 106, 211), "otherfurniture": (82, 84, 163),
    "otherprop": (100, 85, 144),
}  # fmt: skip
_SAME_COLOUR = {
    "furniture": "cabinet",
    "objects": "otherprop",
    "tv": "television",
    "rug": "floor mat",
}
_PARTS = ((30, 30, 30), (255, 85, 85), (255, 170, 0), (255, 255, 100),
          (100, 220, 120), (80, 160, 255), (190, 120, 255), (255, 140, 200))  # fmt: skip
DEPTH_COLOURS = "plasma"
"""Colour map of depth, from near to far."""

_LARGEST_CURVATURE = 3.0  # standard deviations

PARTS = "human_parts"
"""Task whose classes have fixed colours instead of names."""

INVALID = (0, 0, 0)
"""Colour of pixels without a label."""


def class_colours(names: Sequence[str]) -> np.ndarray:
    """Return the colours of classes by name; unknown names get the unused colours.

    Args:
        names: C class names.

    Returns:
        RGB `[C, 3]` uint8.
    """
    used = {_SAME_COLOUR.get(name, name) for name in names}
    unused = [colour for name, colour in _NYU_40.items() if name not in used]
    spare = iter((unused or list(_NYU_40.values())) * len(names))
    colours = [_NYU_40.get(_SAME_COLOUR.get(name, name)) or next(spare) for name in names]
    return np.array(colours, np.uint8)


def task_colours(task: Task, count: int | None = None) -> np.ndarray:
    """Return the colours of the classes of a task.

    Args:
        task: of class ids.
        count: number of colours, by default one for each class.

    Returns:
        RGB `[count, 3]` uint8; of a task with `class_colours` these.
    """
    if task.class_colours:
        return np.array(task.class_colours, np.uint8)
    names, count = task.class_names, task.channels if count is None else count
    if task.name == PARTS and not names and count <= len(_PARTS):
        return np.array(_PARTS[:count], np.uint8)
    return class_colours([*names, *map(str, range(len(names), count))])


def colourise(
    task: str | Task,
    values: np.ndarray,
    depth_range_m: tuple[float, float] = (0.0, 10.0),
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one prediction or target.

    Args:
        task: the task, or the name of one the library knows. Uses its `colourise` if set, else the
            colours of its kind; of classes those of its `class_names`.
        values: `[H, W, C]`: class ids (C = 1) or class scores (C > 1) for segmentation, metres,
            unit vectors, or probabilities.
        depth_range_m: depths in metres of the first and the last colour.
        mask: `[H, W]`, invalid pixels become black.

    Returns:
        RGB `[H, W, 3]` uint8.

    Raises:
        ValueError: for an unknown name, or values that are no map.
    """
    (task,) = as_tasks([task])
    if values.ndim != 3:
        raise ValueError(
            f"Task {task.name!r}: only maps [H, W, C] have colours. Received: {list(values.shape)}"
        )
    draw = task.colourise or functools.partial(_usual_colours, task, depth_range_m=depth_range_m)
    picture = draw(values)
    picture = np.rint(picture).astype(np.uint8)
    if mask is not None:
        picture = np.where(np.asarray(mask)[..., None] > 0, picture, np.uint8(INVALID[0]))
    return picture


def _usual_colours(
    task: Task, values: np.ndarray, depth_range_m: tuple[float, float]
) -> np.ndarray:
    """Draw `[H, W, C]` values in the usual colours of their kind: `[H, W, 3]`, 0 to 255."""
    if task.kind is TargetKind.CLASSES:
        return _class_map(task, values)
    if task.kind is TargetKind.DISTANCE:
        near, far = depth_range_m
        share = np.clip((values[..., 0] - near) / max(far - near, 1e-6), 0, 1)
        return matplotlib.colormaps[DEPTH_COLOURS](share)[..., :3] * 255
    if task.kind is TargetKind.DIRECTION:
        length = np.linalg.norm(values, axis=-1, keepdims=True)
        return (values / np.maximum(length, 1e-6) + 1) / 2 * 255
    if task.kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
        return np.repeat(np.clip(values[..., :1], 0, 1), 3, axis=-1) * 255
    if values.shape[-1] == 2:
        near_zero = np.clip(values / _LARGEST_CURVATURE, -1, 1)
        third = -near_zero.mean(-1, keepdims=True)
        return np.concatenate([near_zero, third], -1) * 127.5 + 127.5
    low, high = (0.0, 1.0) if task.name in TASKS else (values.min(), values.max())
    share = np.clip((values[..., 0] - low) / max(high - low, 1e-6), 0, 1)
    return matplotlib.colormaps["magma"](share)[..., :3] * 255


def _class_map(task: Task, values: np.ndarray) -> np.ndarray:
    """Draw class ids `[H, W, 1]` or class scores `[H, W, C]`."""
    ids = values[..., 0].astype(int) if values.shape[-1] == 1 else values.argmax(-1)
    count = max(values.shape[-1], int(ids.max(initial=0)) + 1, len(task.class_names))
    colours = task_colours(task, count)
    return colours[np.clip(ids, 0, len(colours) - 1)]
