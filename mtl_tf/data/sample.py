"""Images with targets and validity masks, as NumPy arrays."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mtl_tf.targets import TargetKind, kind_of


class DataError(ValueError):
    """Error of a missing, damaged or invalid file of a data set, with its path.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.data.Bsds500("absent")
        Traceback (most recent call last):
        mtl_tf.data.sample.DataError: Bsds500: there is no image for train
    """


@dataclasses.dataclass(frozen=True)
class Sample:
    """Image with targets and validity masks.

    Attributes:
        image: RGB `[H, W, 3]` uint8.
        targets: `{task: [H, W, C]}`, or `[C]` for image-level tasks: class ids int32; others
            float32 (depth in metres; normals as unit vectors with x right, y up, z towards the
            camera; edges and saliency 0 or 1).
        masks: `{task: [H, W]}` bool, or one bool for image-level tasks. Targets are 0 where
            invalid.
        kinds: `{task: kind}` of targets, unless it follows from name and dtype.
        is_made: whether shapes and dtypes have been checked by this library.

    Examples:
        >>> import mtl_tf as mtl, numpy as np
        >>> depth = np.ones((4, 6, 1), np.float32)
        >>> image = np.zeros((4, 6, 3), np.uint8)
        >>> mtl.data.Sample(image, {"depth": depth}, {"depth": depth[..., 0] > 0}).kind("depth")
        <TargetKind.DISTANCE: 'distance'>
    """

    image: np.ndarray
    targets: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    kinds: Mapping[str, TargetKind] = dataclasses.field(default_factory=dict)
    is_made: bool = dataclasses.field(default=False, repr=False)

    def kind(self, task: str) -> TargetKind:
        """Return the kind of a target.

        Args:
            task: name of the task.
        """
        return self.kinds.get(task) or kind_of(task, self.targets[task])


class TargetSpec(NamedTuple):
    """Kind, channels and level of a task's target.

    Attributes:
        kind: kind of the target.
        channels: channels of the prediction.
        is_image_level: whether there is one target `[C]` for the whole image.
    """

    kind: TargetKind
    channels: int
    is_image_level: bool = False

    @property
    def target_channels(self) -> int:
        """Channels of the target."""
        return self.kind.target_channels(self.channels)

    def absent(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the target and the mask of an image without a label."""
        size = () if self.is_image_level else (height, width)
        target = np.zeros((*size, self.target_channels), self.kind.dtype)
        return target, np.zeros(size, bool)


def make_sample(
    image: np.ndarray, targets: dict[str, np.ndarray], masks: dict[str, np.ndarray], name: str
) -> Sample:
    """Build a sample from arrays of equal size, with targets set to 0 where invalid.

    Args:
        image: `[H, W, 3]` uint8.
        targets: `{task: [H, W]` or `[H, W, C]}`.
        masks: `{task: [H, W]}` bool; all pixels of a task without a mask are valid.
        name: name of the image in errors.

    Raises:
        DataError: if the height and width of a target differ from the image's.
    """
    converted = {}
    kinds = {task: kind_of(task, target) for task, target in targets.items()}
    for task, target in targets.items():
        spec = TargetSpec(kinds[task], target.shape[2] if target.ndim == 3 else 1)
        converted[task] = _converted(target, masks.get(task), spec, image, task, name)
    zeroed = {task: target for task, (target, _) in converted.items()}
    masks = {task: mask for task, (_, mask) in converted.items()}
    return Sample(image, zeroed, masks, kinds, is_made=True)


def checked_sample(sample: Sample, specs: Mapping[str, TargetSpec], name: str) -> Sample:
    """Validate the result of `load` and convert it to the data set's specification.

    Targets `[H, W]` get a channel axis, numbers the dtype of their kind, and tasks without a mask
    are valid everywhere.

    Args:
        sample: result of `load`.
        specs: specification of each target.
        name: name of the image in errors.

    Raises:
        DataError: for arrays of another shape or dtype, labels that are no class ids, and values
            outside the limits of their kind; the message names image and task.
    """
    if not isinstance(sample, Sample):
        raise DataError(f"{name}: load must return a Sample. Received: {type(sample).__name__}")
    image = sample.image
    is_array = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not (is_array and image.shape[2] == 3 and image.size):
        raise DataError(
            f"{name}: the image must be RGB [H, W, 3] uint8. Received: {_described(image)}"
        )
    targets, masks = {}, {}
    for task, spec in specs.items():
        if task not in sample.targets:
            raise DataError(
                f"{name}: load returned no target for task {task!r}, only {list(sample.targets)}: "
                "give zeros with a mask of False where an image has no label"
            )
        target, mask = sample.targets[task], sample.masks.get(task)
        is_made = sample.is_made and sample.kinds.get(task) is spec.kind
        if mask is None or not is_made or target.shape[-1] != spec.target_channels:
            target, mask = _converted(target, mask, spec, image, task, name)
        problem = spec.kind.problem(target, mask, spec.channels)
        if problem is not None:
            raise DataError(f"{name}: task {task!r} {problem}")
        targets[task], masks[task] = target, mask
    kinds = {task: spec.kind for task, spec in specs.items()}
    return Sample(image, targets, masks, kinds, is_made=True)


def _converted(
    target: np.ndarray,
    mask: np.ndarray | None,
    spec: TargetSpec,
    image: np.ndarray,
    task: str,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return target `[H, W, C]` in its dtype, 0 where invalid, and mask `[H, W]` bool."""
    size = () if spec.is_image_level else image.shape[:2]
    target = np.asarray(target)
    if not spec.is_image_level and target.shape[:2] != size and target.ndim >= 2:
        raise DataError(
            f"{name}: the {task} target is {'x'.join(map(str, target.shape[:2]))}, the image is "
            f"{image.shape[0]}x{image.shape[1]}: they must have one size"
        )
    target = target[..., None] if target.ndim == len(size) else target
    expected = (*size, spec.target_channels)
    if target.shape != expected or target.dtype.kind not in "biuf":
        hint = ""
        if spec.kind is TargetKind.CLASSES and target.shape == (*size, spec.channels):
            hint = ": give class ids, not one-hot vectors (labels.argmax(-1))"
        if spec.kind is TargetKind.VALUES and target.shape == (*size, 1):
            hint = ": if they are class ids, make them int32, or give the data set the mtl_tf.Task"
        raise DataError(
            f"{name}: the target of task {task!r} must be {list(expected)} "
            f"{np.dtype(spec.kind.dtype).name}. Received: {_described(target)}{hint}"
        )
    mask = np.ones(size, bool) if mask is None else np.asarray(mask)
    if mask.shape != size or not (mask.dtype == bool or np.isin(mask, (0, 1)).all()):
        raise DataError(
            f"{name}: the validity mask of task {task!r} must be {list(size)} bool, or 0 and 1. "
            f"Received: {_described(mask)}"
            + (f" with values up to {mask.max()}" if mask.size and mask.dtype != bool else "")
        )
    mask = mask.astype(bool)
    is_float_id = spec.kind is TargetKind.CLASSES and target.dtype.kind == "f"
    if is_float_id and (target[mask] % 1 != 0).any():
        raise DataError(
            f"{name}: task {task!r} needs whole class ids. Received: {_described(target)} "
            "with fractions"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(mask[..., None], target, 0).astype(spec.kind.dtype), mask


def _described(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{list(array.shape)} {array.dtype}"
    return type(array).__name__
