"""One image with its targets and validity masks, as NumPy arrays."""

import dataclasses

import numpy as np


class DataError(ValueError):
    """A file of a data set is missing, damaged or not what it should be; the message names it."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image, its targets and which of their pixels are valid.

    Attributes:
        image: RGB `[H, W, 3]` uint8.
        targets: `{task: [H, W, C]}`: class ids int32; all else float32 (depth in metres; normals
            unit vectors with x right, y up, z towards the camera; edges and saliency 0 or 1).
        masks: `{task: [H, W]}` bool. Invalid pixels hold 0 in the target.
    """

    image: np.ndarray
    targets: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


def is_classes(task: str) -> bool:
    """Whether a task's target is one map of class ids, however many classes there are."""
    return task in ("semseg", "human_parts")


def target_dtype(task: str) -> type[np.generic]:
    """What a task's target is made of: int32 class ids, else float32."""
    return np.int32 if is_classes(task) else np.float32


def make_sample(
    image: np.ndarray, targets: dict[str, np.ndarray], masks: dict[str, np.ndarray], name: str
) -> Sample:
    """A sample whose targets are 0 where invalid, after checking that sizes agree.

    Args:
        image: `[H, W, 3]` uint8.
        targets: `{task: [H, W]` or `[H, W, C]}`.
        masks: `{task: [H, W]}` bool; all pixels are valid where missing.
        name: what to call the image in an error.

    Raises:
        DataError: if a target's height and width are not the image's.
    """
    checked: dict[str, np.ndarray] = {}
    valid: dict[str, np.ndarray] = {}
    for task, target in targets.items():
        if target.shape[:2] != image.shape[:2]:
            raise DataError(
                f"{name}: the {task} target is {'x'.join(map(str, target.shape[:2]))}, the image "
                f"is {image.shape[0]}x{image.shape[1]}: they must have one size"
            )
        target = target[..., None] if target.ndim == 2 else target
        mask = masks.get(task)
        mask = np.ones(image.shape[:2], bool) if mask is None else mask
        checked[task] = np.where(mask[..., None], target, 0).astype(target_dtype(task))
        valid[task] = mask
    return Sample(image, checked, valid)
