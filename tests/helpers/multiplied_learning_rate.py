"""Prints how far variables move in a step on replicas that share the batch.

Run as a process of its own, because TensorFlow splits the CPU into logical devices only once:
`python -m tests.helpers.multiplied_learning_rate NUM_REPLICAS MULTIPLIER`.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, tiny_batch, tiny_model

TWO = ("depth", "normals")


def main(num_replicas: int, multiplier: float) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * num_replicas
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(num_replicas)])
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = tiny_model(TWO, activation="linear")
        model.get_layer("shared").kernel.learning_rate_multiplier = multiplier
        made = mtl.MultiTaskTrainer(model, {t: TASKS[t] for t in TWO})
        made.compile(keras.optimizers.SGD(1e-3), metrics={t: [] for t in TWO})
    dataset = tf.data.Dataset.from_tensor_slices(tiny_batch(TWO)).batch(4)
    before = {v.path: v.numpy().astype(np.float64) for v in model.trainable_variables}
    made.fit(dataset, epochs=1, verbose=0)
    moves = {v.path: (v.numpy() - before[v.path]).tolist() for v in model.trainable_variables}
    sys.stdout.write(json.dumps(moves) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
