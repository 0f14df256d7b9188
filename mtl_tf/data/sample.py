"""One image with its targets and validity masks, as NumPy arrays."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mtl_tf.targets import TargetKind, kind_of


class DataError(ValueError):
    """A file of a data set is missing, damaged or not what it should be; the message names it."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image, its targets and which of their pixels are valid.

    Attributes:
        image: RGB `[H, W, 3]` uint8.
        targets: `{task: [H, W, C]}`, of whole images `[C]`: class ids int32; all else float32
            (depth in metres; normals unit vectors with x right, y up, z towards the camera; edges
            and saliency 0 or 1).
        masks: `{task: [H, W]}` bool, of whole images a bool. Invalid pixels hold 0 in the target.
        kinds: `{task: kind}` of targets whose kind their name and dtype do not tell.
        is_made: whether this library made it, so that shapes and dtypes need no second look.
    """

    image: np.ndarray
    targets: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    kinds: Mapping[str, TargetKind] = dataclasses.field(default_factory=dict)
    is_made: bool = dataclasses.field(default=False, repr=False)

    def kind(self, task: str) -> TargetKind:
        """The kind of a target."""
        return self.kinds.get(task) or kind_of(task, self.targets[task])


class TargetSpec(NamedTuple):
    """Kind, channels and level of a task's target.

    Attributes:
        kind: its kind.
        channels: of the prediction.
        is_image_level: whether it is one target `[C]` for the whole image.
    """

    kind: TargetKind
    channels: int
    is_image_level: bool = False

    @property
    def target_channels(self) -> int:
        """Channels of the target."""
        return self.kind.target_channels(self.channels)

    def absent(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The target and the mask of an image that has no label."""
        size = () if self.is_image_level else (height, width)
        target = np.zeros((*size, self.target_channels), self.kind.dtype)
        return target, np.zeros(size, bool)


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
    shaped = {}
    kinds = {task: kind_of(task, target) for task, target in targets.items()}
    for task, target in targets.items():
        spec = TargetSpec(kinds[task], target.shape[2] if target.ndim == 3 else 1)
        shaped[task] = _shaped(target, masks.get(task), spec, image, task, name)
    zeroed = {task: target for task, (target, _) in shaped.items()}
    masks = {task: mask for task, (_, mask) in shaped.items()}
    return Sample(image, zeroed, masks, kinds, is_made=True)


def checked_sample(sample: Sample, specs: Mapping[str, TargetSpec], name: str) -> Sample:
    """A sample as a data set promised it, from one as a user's `load` returned it.

    Targets `[H, W]` get their channel, numbers their dtype, and a task without a mask is valid
    everywhere.

    Args:
        sample: what `load` returned.
        specs: what each task's target is to be.
        name: of the image, for errors.

    Raises:
        DataError: naming image and task, for arrays of another shape or dtype, labels outside the
            classes, and values outside the limits of its kind.
    """
    if not isinstance(sample, Sample):
        raise DataError(f"{name}: load must return a Sample. Received: {type(sample).__name__}")
    image = sample.image
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            and image.shape[2] == 3 and image.size):  # fmt: skip
        raise DataError(
            f"{name}: the image must be RGB [H, W, 3] uint8. Received: {_kind_of_array(image)}"
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
            target, mask = _shaped(target, mask, spec, image, task, name)
        problem = spec.kind.problem(target, mask, spec.channels)
        if problem is not None:
            raise DataError(f"{name}: task {task!r} {problem}")
        targets[task], masks[task] = target, mask
    kinds = {task: spec.kind for task, spec in specs.items()}
    return Sample(image, targets, masks, kinds, is_made=True)


def _shaped(
    target: np.ndarray, mask: np.ndarray | None, spec: TargetSpec, image: np.ndarray, task: str,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Target `[H, W, C]` in its dtype, 0 where invalid, and mask `[H, W]` bool."""
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
            f"{np.dtype(spec.kind.dtype).name}. Received: {_kind_of_array(target)}{hint}"
        )
    mask = np.ones(size, bool) if mask is None else np.asarray(mask)
    if mask.shape != size or not (mask.dtype == bool or np.isin(mask, (0, 1)).all()):
        raise DataError(
            f"{name}: the validity mask of task {task!r} must be {list(size)} bool, or 0 and 1. "
            f"Received: {_kind_of_array(mask)}"
            + (f" with values up to {mask.max()}" if mask.size and mask.dtype != bool else "")
        )
    mask = mask.astype(bool)
    is_whole = spec.kind is not TargetKind.CLASSES or target.dtype.kind != "f"
    if not is_whole and (target[mask] % 1 != 0).any():
        raise DataError(
            f"{name}: task {task!r} needs whole class ids. Received: {_kind_of_array(target)} "
            "with fractions"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(mask[..., None], target, 0).astype(spec.kind.dtype), mask


def _kind_of_array(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{list(array.shape)} {array.dtype}"
    return type(array).__name__
