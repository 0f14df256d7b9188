"""Input images: their shape, and the statistics that normalise them."""

from collections.abc import Sequence

import numpy as np

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
"""Mean of the RGB channels of ImageNet, of values in 0..1, float64."""

IMAGENET_STD = np.array([0.229, 0.224, 0.225])
"""Standard deviation of the RGB channels of ImageNet, of values in 0..1, float64."""


def checked_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `(H, W, 3)` as a tuple.

    Args:
        input_shape: height and width in pixels, and 3 channels.

    Raises:
        ValueError: for another shape.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape must be (height, width, 3). Received: {input_shape!r}")
    return shape
