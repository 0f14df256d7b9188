"""Prints what a few steps of balancing methods do, on one replica and on two that share the batch.

Run as a process of its own, because TensorFlow splits the CPU into logical devices only once:
`python -m tests.helpers.one_or_two_replicas NAME:LEVEL ...` does all cases in one process.
"""

import contextlib
import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.balancing.aggregators import graddrop
from tests.helpers.inputs import TASKS, tiny_batch, tiny_model

THREE = ("depth", "normals", "saliency")
BATCH = 8
CONFLICTS = 5  # with these first values all methods that look at conflicts meet some


def main(cases: list[str]) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {
        "one": tf.distribute.MirroredStrategy(["CPU:0"]),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    results = {}
    for case in cases:
        name, level = case.split(":")
        results[case] = {n: steps(s, name, level, seed=1) for n, s in strategies.items()}
        if "seed" in inspect.signature(mtl.balancing.TABLE[name].cls).parameters:
            results[case]["other draw"] = steps(strategies["one"], name, level, seed=2)
    sys.stdout.write(json.dumps(results) + "\n")


def steps(
    strategy: tf.distribute.Strategy, name: str, level: str, seed: int
) -> dict[str, dict[str, list[float]]]:
    """Two epochs of two steps: variables, state and logs, and how far the replicas are apart."""
    image, targets, masks = tiny_batch(THREE, size=2 * BATCH - 1)  # the last batch: 4 and 3 images
    masks["depth"][:5, :3] = 0  # the replicas have different numbers of valid pixels
    masks["normals"][:2] = 0
    masks["saliency"][4:] = 0  # the second replica has none, and the second batch
    dataset = tf.data.Dataset.from_tensor_slices((image, targets, masks)).batch(BATCH)
    cls = mtl.balancing.TABLE[name].cls
    has_seed = "seed" in inspect.signature(cls).parameters
    method = cls(seed=seed) if has_seed else cls()  # outside the scope: its state is made inside
    with strategy.scope(), numbers_by_image(level):
        keras.utils.set_random_seed(CONFLICTS)
        made = mtl.MultiTaskTrainer(tiny_model(THREE), {t: TASKS[t] for t in THREE})
        made.compile(
            keras.optimizers.SGD(0.1),
            balancing=method,
            level=level,
            metrics={t: [] for t in THREE},
            # Means over pixels: a loss that weighs the classes of its part is another on each part.
            loss={"normals": "mean_squared_error", "saliency": "mean_squared_error"},
            weight_decay=0.1,
        )
        history = made.fit(dataset, epochs=2, verbose=0).history
    copies = [strategy.experimental_local_results(v.value) for v in made.variables]
    return {
        "variables": {v.path: np.ravel(v).tolist() for v in made.network.trainable_variables},
        "state": {v.name: np.ravel(v).tolist() for v in method.variables},
        "history": history,
        "apart": {
            v.path: [float(np.max(np.abs(np.subtract(c, own[0])))) for c in own]
            for v, own in zip(made.variables, copies, strict=True)
        },
    }


@contextlib.contextmanager
def numbers_by_image(level: str) -> Iterator[None]:
    """On features, GradDrop's random numbers belong to the image: whoever has it draws the same.

    Its own depend on how the batch is divided. On parameters they stay: there all replicas have the
    whole gradient, and must draw alike.
    """
    own = graddrop.random_like

    def of_images(task_gradients: list[list[Any]], seed: Any) -> list[Any]:
        whole = [tf.zeros([BATCH, *g.shape[1:]]) for g in task_gradients[0]]
        context = tf.distribute.get_replica_context()
        assert context is not None
        first = BATCH // 2 * context.replica_id_in_sync_group
        return [
            tf.ensure_shape(numbers[first : first + tf.shape(gradient)[0]], gradient.shape)
            for numbers, gradient in zip(own([whole], seed), task_gradients[0], strict=True)
        ]

    with mock.patch.object(graddrop, "random_like", of_images if level == "features" else own):
        yield


if __name__ == "__main__":
    main(sys.argv[1:])
