"""Callbacks read the variables of `tf.distribute`, which are no plain numbers."""

import keras
import numpy as np
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_backbone

TASKS = {"depth": 1, "semseg": 3}
SIZE = (16, 24)


def trainer() -> mtl.MultiTaskTrainer:
    keras.utils.set_random_seed(0)
    network = mtl.architectures.SharedTrunk(tiny_backbone(*SIZE), TASKS, (*SIZE, 3), head="conv")
    made = mtl.MultiTaskTrainer(network, TASKS)
    made.compile(keras.optimizers.SGD(1e-2), balancing="uncertainty", diagnostics=True)
    return made


def fit(folder, epochs: int) -> tuple[mtl.MultiTaskTrainer, dict[str, list[float]]]:
    image, targets, masks = batch(TASKS, 4, *SIZE)
    backup = mtl.training.Backup(folder, every_steps=1)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        made = trainer()
        history = made.fit(
            image,
            targets,
            sample_weight=masks,
            batch_size=2,
            shuffle=False,
            epochs=epochs,
            initial_epoch=backup.epoch,
            verbose=0,
            callbacks=[backup],
        ).history
    return made, history


def test_a_run_is_saved_and_resumed(tmp_path):
    whole, _ = fit(tmp_path / "whole", 3)
    fit(tmp_path / "parts", 2)
    resumed, history = fit(tmp_path / "parts", 3)
    assert len(history["conflicts"]) == 1
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(list(resumed.last_gradients().values())).all()
