"""A network with its tasks, and photographs."""

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

import mtl_tf as mtl
from tests.helpers.exports import TASKS, small


@pytest.fixture(scope="module")
def trained():
    """A network with predictions that differ from pixel to pixel, and its tasks."""
    keras.utils.set_random_seed(1)
    names = mtl.tasks.with_class_names(mtl.tasks.as_tasks(TASKS), ["wall", "floor", "chair"])
    network = small()
    trainer = mtl.MultiTaskTrainer(network, names)
    for weight in network.trainable_weights:
        if weight.path.endswith("bias"):
            weight.assign(np.random.default_rng(2).normal(0, 0.5, weight.shape))
    return trainer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(4):
        small_image = np.random.default_rng(i).integers(0, 255, (5, 7, 3)).astype(np.uint8)
        image = cv2.resize(small_image, (64, 32), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder
