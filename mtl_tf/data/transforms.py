"""Joint transforms of an image and its targets (survey, supplement: augmentation).

The effect on a target depends on its kind (`mtl_tf.targets`): a flip negates the x component of
directions, a zoom divides distances, a rotation rotates directions. Images and directions are
interpolated bicubically, with images clipped to uint8; other targets take the nearest pixel. Pixels
from outside the image become invalid, not background.
"""

import dataclasses
import math

import cv2
import numpy as np

from mtl_tf import images
from mtl_tf.data.sample import Sample
from mtl_tf.targets import TargetKind

IMAGENET_MEAN = images.IMAGENET_MEAN.astype(np.float32)
IMAGENET_STD = images.IMAGENET_STD.astype(np.float32)
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random transforms of a training image; the defaults are the survey's for NYUD-v2.

    Attributes:
        flip: whether to mirror left and right with probability 0.5.
        zoom: factors to choose from at random; factors below 1 leave a border of invalid pixels.
        zoom_between: whether to draw factors uniformly between the minimum and maximum of `zoom`.
        random_position: whether to zoom about a random point instead of the centre.
        rotation_deg: maximum angle of rotation in degrees, in either direction.
        brightness: maximum relative change of brightness: the image is multiplied by a factor in
            `1 ± brightness`.
        contrast: the same of contrast: differences from the mean grey of the image.
        saturation: the same of saturation: differences from the grey of the pixel.

    Raises:
        ValueError: if a zoom factor is not positive and finite, or a change of colours not in
            [0, 1).

    Examples:
        >>> import mtl_tf as mtl
        >>> augmentation = mtl.data.Augmentation(zoom=(0.75, 1.25), zoom_between=True)
        >>> data = mtl.data.RenderedRooms(augmentation=augmentation)
        >>> data.options.augmentation.zoom
        (0.75, 1.25)
    """

    flip: bool = True
    zoom: tuple[float, ...] = (1.0, 1.2, 1.5)
    zoom_between: bool = False
    random_position: bool = False
    rotation_deg: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoom", tuple(self.zoom))
        if not self.zoom or not all(0 < factor < math.inf for factor in self.zoom):
            raise ValueError(f"zoom must hold positive factors. Received: {self.zoom}")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1). Received: {getattr(self, name)}")


def normalise(image: np.ndarray) -> np.ndarray:
    """Normalise an image with ImageNet's mean and standard deviation.

    Args:
        image: RGB `[..., 3]` uint8.

    Returns:
        Normalised image `[..., 3]` float32: `(image / 255 - mean) / std`.
    """
    return ((image.astype(np.float32) / 255.0) - IMAGENET_MEAN) / IMAGENET_STD


def denormalise(image: np.ndarray) -> np.ndarray:
    """Invert `normalise`.

    Args:
        image: normalised image `[..., 3]` float32.

    Returns:
        RGB `[..., 3]` uint8.
    """
    rgb = np.asarray(image, np.float32) * IMAGENET_STD + IMAGENET_MEAN
    return np.clip(np.rint(rgb * 255.0), 0, 255).astype(np.uint8)


def flip(sample: Sample) -> Sample:
    """Return the sample mirrored left and right; the x component of directions is negated."""
    targets, masks = {}, {}
    for task, target in sample.targets.items():
        mask = sample.masks[task]
        if target.ndim > 1:
            target, mask = target[:, ::-1], mask[:, ::-1]
        if sample.kind(task) is TargetKind.DIRECTION:
            target = target * np.array([-1, 1, 1], np.float32)
        targets[task], masks[task] = target, mask
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), targets, masks, sample.kinds)


def resize(sample: Sample, height: int, width: int) -> Sample:
    """Return the sample at another size.

    Downsampling averages images and directions, and marks every pixel that a boundary touches;
    upsampling interpolates images and directions bicubically. Other targets take the nearest pixel.

    Args:
        sample: sample of any size.
        height: new height.
        width: new width.
    """
    if sample.image.shape[:2] == (height, width):
        return sample
    _, smooth = _resizing(sample.image.shape, height, width)
    image = cv2.resize(sample.image, (width, height), interpolation=smooth)
    targets, masks = {}, {}
    for task, target in sample.targets.items():
        targets[task], masks[task] = (
            (target, sample.masks[task])
            if target.ndim == 1
            else resize_target(target, sample.masks[task], sample.kind(task), height, width)
        )
    return Sample(image, targets, masks, sample.kinds)


def resize_target(
    target: np.ndarray, mask: np.ndarray, kind: TargetKind, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a target and its mask at another size, as `resize` does.

    Args:
        target: `[h, w]` or `[h, w, C]`.
        mask: `[h, w]` bool.
        kind: of the target.
        height: new height.
        width: new width.
    """
    size = (width, height)
    downsamples, smooth = _resizing(target.shape, height, width)
    mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    if kind is TargetKind.BOUNDARY and downsamples:
        resized = (cv2.resize(target, size, interpolation=cv2.INTER_AREA) > 1e-3) * 1.0
    elif kind is TargetKind.DIRECTION:
        resized = cv2.resize(target, size, interpolation=smooth)
    else:
        resized = cv2.resize(target, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return _restored(resized, kind, target, mask)


def _resizing(shape: tuple[int, ...], height: int, width: int) -> tuple[bool, int]:
    """Return whether a size is not larger, and the interpolation of smooth values."""
    downsamples = height <= shape[0] and width <= shape[1]
    return downsamples, cv2.INTER_AREA if downsamples else cv2.INTER_CUBIC


def zoom_and_rotate(
    sample: Sample,
    height: int,
    width: int,
    factor: float = 1.0,
    angle_deg: float = 0.0,
    position: tuple[float, float] = (0.5, 0.5),
) -> Sample:
    """Zoom, rotate and resize a sample in one step.

    Args:
        sample: sample of any size.
        height: new height.
        width: new width.
        factor: zoom factor; distances are divided by it. Factors below 1 leave an invalid border.
        angle_deg: counter-clockwise rotation in degrees; directions rotate with the image.
        position: position of the visible crop: (0, 0) at the top left, (1, 1) at the bottom right.

    Returns:
        A sample `height x width`.
    """
    from_height, from_width = sample.image.shape[:2]
    scale = factor * np.array([width / from_width, height / from_height])
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    linear = np.array([[cosine, sine], [-sine, cosine]]) @ np.diag(scale)
    # The source point at the centre of the result.
    shift = (1.0 - 1.0 / factor) * (np.array(position) - 0.5)
    centre = np.array([from_width, from_height]) * (0.5 + shift) - 0.5
    offset = np.array([width, height]) / 2 - 0.5 - linear @ centre
    matrix = np.concatenate([linear, offset[:, None]], axis=1)

    def warp(array: np.ndarray, interpolation: int) -> np.ndarray:
        return cv2.warpAffine(array, matrix, (width, height), flags=interpolation)

    image = warp(sample.image, cv2.INTER_CUBIC)
    targets, masks = {}, {}
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
    for task, target in sample.targets.items():
        kind, mask, warped = sample.kind(task), sample.masks[task], target
        if target.ndim > 1:
            # The same dtype for all: OpenCV's choice of the nearest pixel depends on it.
            mask = warp(mask.astype(np.float32), cv2.INTER_NEAREST) > 0
            if kind is TargetKind.DIRECTION:
                warped = warp(target, cv2.INTER_CUBIC)
            else:
                warped = warp(target.astype(np.float32), cv2.INTER_NEAREST)
        if kind is TargetKind.DIRECTION:
            warped = warped @ rotation.T
        if kind is TargetKind.DISTANCE:
            warped = warped / np.float32(factor)
        targets[task], masks[task] = _restored(warped, kind, target, mask)
    return Sample(image, targets, masks, sample.kinds)


def _restored(
    array: np.ndarray, kind: TargetKind, like: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the target in shape and dtype of `like`, and its mask.

    Directions are normalised to unit length, and invalid where they are too short.
    """
    array = array[..., None] if array.ndim < like.ndim else array
    if kind is TargetKind.DIRECTION:
        length = np.linalg.norm(array, axis=-1, keepdims=True)
        mask = mask & (length[..., 0] > 0.5)
        array = array / np.maximum(length, 1e-6)
    valid = mask if array.ndim == mask.ndim else mask[..., None]
    return np.where(valid, array, 0).astype(like.dtype), mask


def augment(
    sample: Sample,
    height: int,
    width: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> Sample:
    """Return a randomly transformed sample.

    Args:
        sample: sample of any size.
        height: new height.
        width: new width.
        augmentation: distribution of the transforms.
        generator: source of all random numbers.

    Returns:
        A sample `height x width`.
    """
    factor = float(generator.choice(augmentation.zoom))
    if augmentation.zoom_between:
        factor = float(generator.uniform(min(augmentation.zoom), max(augmentation.zoom)))
    angle = float(generator.uniform(-1, 1)) * augmentation.rotation_deg
    position = generator.uniform(0, 1, 2) if augmentation.random_position else (0.5, 0.5)
    mirrored, light = generator.random() < 0.5, generator.uniform(-1, 1)
    zoomed = round(height * factor), round(width * factor)
    if zoomed[0] < sample.image.shape[0] and zoomed[1] < sample.image.shape[1]:
        sample = resize(sample, *zoomed)
    if factor == 1.0 and angle == 0.0:
        sample = resize(sample, height, width)
    else:
        centre = (float(position[0]), float(position[1]))
        sample = zoom_and_rotate(sample, height, width, factor, angle, centre)
    if augmentation.flip and mirrored:
        sample = flip(sample)
    brightness = 1.0 + light * augmentation.brightness
    contrast, saturation = (
        1.0 + (generator.uniform(-1, 1) * change if change else 0.0)
        for change in (augmentation.contrast, augmentation.saturation)
    )
    if (brightness, contrast, saturation) != (1.0, 1.0, 1.0):
        image = recoloured(sample.image, brightness, contrast, saturation)
        sample = dataclasses.replace(sample, image=image)
    return sample


def recoloured(
    image: np.ndarray, brightness: float, contrast: float, saturation: float
) -> np.ndarray:
    """Change the colours of an image.

    Args:
        image: RGB `[H, W, 3]` uint8.
        brightness: factor of all values.
        contrast: factor of the differences from the mean grey of the image.
        saturation: factor of the differences from the grey of the pixel.

    Returns:
        RGB `[H, W, 3]` uint8.
    """
    values: np.ndarray = image.astype(np.float32)
    if saturation != 1.0:
        grey = (values @ _LUMINANCE)[..., None]
        values = grey + np.float32(saturation) * (values - grey)
    if contrast != 1.0:
        mean = (values @ _LUMINANCE).mean(dtype=np.float64)
        values = np.float32(mean) + np.float32(contrast) * (values - np.float32(mean))
    values *= np.float32(brightness)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
