"""Tasks of one's own, one of each kind and more, a data set of them and a network for them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.targets import TargetKind

SIZE = (16, 24)


class Cauchy(mtl.losses.DenseLoss):
    """A loss with an argument, as users write it: without `get_config`."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def masked(self, y_true, y_pred, weights):
        values = tf.math.log1p(tf.square((y_true - y_pred)[..., 0] / self.scale))
        return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def mean_error(channels):
    return [keras.metrics.MeanAbsoluteError(name="mae"), keras.metrics.RootMeanSquaredError("rms")]


def sigmoid_of(raw):
    return tf.sigmoid(raw)


TASKS = {
    "heat": mtl.Task("heat", 1, tf.identity, lambda: Cauchy(0.5), mean_error, "mae", False),
    "lidar": mtl.Task(
        "lidar",
        1,
        tf.identity,
        mtl.losses.L1,
        lambda c: [mtl.metrics.DepthMetrics()],
        "rmse",
        False,
    ),
    "facing": mtl.Task(
        "facing",
        3,
        tf.identity,
        mtl.losses.NormalsL1,
        lambda c: [mtl.metrics.NormalsMetrics()],
        "mean",
        False,
    ),
    "cracks": mtl.Task(
        "cracks",
        1,
        sigmoid_of,
        mtl.losses.BalancedBinaryCrossEntropy,
        lambda c: [mtl.metrics.EdgeMetrics(0.5)],
        "f",
        True,
    ),
    "road": mtl.Task(
        "road",
        1,
        sigmoid_of,
        lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        lambda c: [keras.metrics.BinaryAccuracy("hits", threshold=0.0)],
        "hits",
        True,
    ),
    "vehicle_parts": dataclasses.replace(
        mtl.TASKS["human_parts"], name="vehicle_parts", channels=5
    ),
    "nyu/depth": dataclasses.replace(mtl.TASKS["depth"], name="nyu/depth"),
    "flow": mtl.Task(
        "flow", 2, tf.identity, keras.losses.MeanSquaredError, mean_error, "rms", False
    ),
    "scene": mtl.Task(
        "scene",
        4,
        tf.nn.softmax,
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda c: [keras.metrics.SparseCategoricalAccuracy("share")],
        "share",
        True,
    ),
    "pose": mtl.Task(
        "pose",
        6,
        tf.identity,
        mtl.losses.L1,
        lambda c: [mtl.metrics.RegressionMetrics(c)],
        "abs_error",
        False,
    ),
}
KINDS = {
    "heat": TargetKind.VALUES,
    "lidar": TargetKind.DISTANCE,
    "facing": TargetKind.DIRECTION,
    "cracks": TargetKind.BOUNDARY,
    "road": TargetKind.BINARY,
    "vehicle_parts": TargetKind.CLASSES,
    "nyu/depth": TargetKind.DISTANCE,
    "flow": TargetKind.VALUES,
    "scene": TargetKind.CLASSES,
    "pose": TargetKind.VALUES,
}
IMAGE_LEVEL = ("scene", "pose")
MAPS = [name for name in TASKS if name not in IMAGE_LEVEL]
ALL = list(TASKS.values())
# The loss of edges is of BINARY targets, its metric of BOUNDARY ones: the metric decides.


def target(task, seed, size=SIZE):
    """A target as a user's `load` returns it, of the dtype that users have."""
    r = np.random.default_rng(seed)
    kind, shape = KINDS[task], () if task in IMAGE_LEVEL else size
    if kind is TargetKind.CLASSES:
        return r.integers(0, TASKS[task].channels, shape).astype(np.int64)
    if kind is TargetKind.DIRECTION:
        vectors = r.normal(size=(*shape, 3))
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    if kind is TargetKind.DISTANCE:
        return r.uniform(1, 5, shape)
    if kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
        return r.random(shape) < 0.3
    return r.normal(size=(*shape, TASKS[task].channels))


class OwnData(mtl.data.DenseDataset):
    """Random images with targets of any tasks above; part of each map is invalid."""

    def __init__(self, tasks=None, input_shape=(*SIZE, 3), number=8, **options):
        splits = {"train": [str(i) for i in range(number)], "val": ["100", "101", "102"]}
        options.setdefault("batch_size", 4)
        super().__init__(tasks, ALL, splits, input_shape, **options)

    def load(self, image_id):
        seed = int(image_id)
        image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        targets = {task: target(task, seed) for task in self.tasks}
        valid = np.ones(SIZE, bool)
        valid[:3] = False
        masks = {task: valid for task in self.tasks if task in MAPS}
        return mtl.data.Sample(image, targets, masks)


def network(tasks=ALL, size=SIZE):
    """One shared convolution; a layer for each task."""
    image = keras.Input((*size, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")(image)
    whole = keras.layers.GlobalAveragePooling2D()(x)
    outputs = {}
    for i, task in enumerate(tasks):
        if task.name in IMAGE_LEVEL:
            outputs[task.name] = keras.layers.Dense(task.channels, name=f"head{i}")(whole)
        else:
            outputs[task.name] = keras.layers.Conv2D(task.channels, 1, name=f"head{i}")(x)
    return keras.Model(image, outputs)


def trainer(tasks=ALL, optimizer=None, **options):
    made = mtl.MultiTaskTrainer(network(tasks), tasks)
    made.compile(optimizer or keras.optimizers.Adam(1e-2), **options)
    return made
