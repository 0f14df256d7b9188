"""A small network to export, and pictures for it."""

import numpy as np
from PIL import Image

import mtl_tf as mtl
from tests.helpers.inputs import tiny_backbone

TASKS = {"semseg": 3, "depth": 1, "normals": 3, "edges": 1}
FILES = {"onnx": "model.onnx", "litert": "model.tflite", "savedmodel": "model"}


def small(**options):
    return mtl.architectures.SharedTrunk(
        tiny_backbone(None, None, seed=0), TASKS, (32, 64, 3), head="conv", **options
    )


def image_of(path):
    with Image.open(path) as image:
        return np.asarray(image)
