"""Prints what two steps of a method do, on one replica or on two that share the batch.

Run as a process of its own, because TensorFlow splits the CPU into logical devices only once:
`python -m tests.training.one_or_two_replicas NUM_REPLICAS NAME LEVEL`.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, tiny_batch, tiny_model

THREE = ("depth", "normals", "saliency")


def main(num_replicas: int, cases: list[list[str]]) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * num_replicas
    )
    devices = [f"CPU:{i}" for i in range(num_replicas)]
    strategy = tf.distribute.MirroredStrategy(devices)
    results = [steps(strategy, name, level) for name, level in cases]
    sys.stdout.write(json.dumps(results) + "\n")


def steps(strategy: tf.distribute.Strategy, name: str, level: str) -> dict:
    image, targets, masks = tiny_batch(THREE, size=8)
    targets["saliency"][:] = 1.0  # its loss is a mean over pixels when one class is missing
    masks["depth"][:5, :3] = 0  # the replicas have different numbers of valid pixels
    masks["normals"][:2] = 0
    masks["saliency"][4:] = 0  # the second replica has none at all
    dataset = tf.data.Dataset.from_tensor_slices((image, targets, masks)).batch(8)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        method = mtl.balancing.TABLE[name].cls
        has_seed = name in ("pcgrad", "gradvac", "rlw")
        made = mtl.MultiTaskTrainer(tiny_model(THREE), {t: TASKS[t] for t in THREE})
        made.compile(
            keras.optimizers.SGD(0.1),
            method(seed=1) if has_seed else method(),
            level=level,
            metrics={t: [] for t in THREE},
            loss={"normals": "mean_squared_error"},
            weight_decay=0.1,
        )
        history = made.fit(dataset, epochs=2, verbose=0).history
    return {
        "variables": np.concatenate([np.ravel(v) for v in made.trainable_variables]).tolist(),
        "history": {k: v for k, v in history.items() if "loss" in k or "weight" in k},
    }


if __name__ == "__main__":
    arguments = [case.split(":") for case in sys.argv[2:]]
    main(int(sys.argv[1]), arguments)
