"""Photographs as the input of a network."""

import cv2
import keras
import numpy as np

from mtl_tf.data import normalise


def network_input(network: keras.Model, photo: np.ndarray) -> np.ndarray:
    """Return a photograph as a batch of a network: resized, and normalised if it does not do that.

    Args:
        network: from images `[B, H, W, 3]`.
        photo: RGB `[h, w, 3]` uint8.

    Returns:
        `[1, H, W, 3]` float32.
    """
    _, height, width, _ = network.input_shape
    image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    return (image.astype(np.float32) if includes_preprocessing(network) else normalise(image))[None]


def includes_preprocessing(network: keras.Model) -> bool:
    """Return whether a network takes RGB images 0..255 and normalises them."""
    return bool(getattr(network, "arguments", {}).get("include_preprocessing", False))
