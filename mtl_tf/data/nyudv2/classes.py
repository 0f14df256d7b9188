"""The 40 and the 13 semantic classes of NYU Depth v2 (Gupta et al. 2013; Couprie et al. 2013)."""

import numpy as np

CLASSES_40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "refridgerator", "television", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
"""Names of the 40 classes, in the order of their ids."""

CLASSES_13 = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)
"""Names of the 13 classes, in the order of their ids."""

CLASS_40_TO_13 = np.array(
    [11, 4, 5, 0, 3, 8, 9, 11, 12, 5, 7, 5, 12, 9, 5, 12, 5, 6, 6, 4,
     6, 2, 1, 5, 10, 6, 6, 6, 6, 6, 6, 5, 6, 6, 6, 6, 6, 6, 5, 6]
)  # fmt: skip
"""Id among the 13 classes of each of the 40 classes."""

IGNORED = 255
"""Class id of unlabelled pixels inside the readers."""


def to_13_classes(labels: np.ndarray) -> np.ndarray:
    """Convert ids of the 40 classes to ids of the 13 classes.

    Args:
        labels: ids of any shape, 255 where unlabelled.

    Returns:
        Ids of the same shape, uint8, 255 where unlabelled.
    """
    table = np.full(256, IGNORED, np.uint8)
    table[: len(CLASS_40_TO_13)] = CLASS_40_TO_13
    return table[labels]
