"""A backbone that is frozen at first: it stays as it is, then learns, and runs resume exactly."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_backbone

TASKS = {"depth": 1, "normals": 3}
SIZE = (16, 24)


def model(seed=0, **options):
    keras.utils.set_random_seed(seed)
    backbone = tiny_backbone(*SIZE, channels=(4, 8))
    return mtl.architectures.SharedTrunk(backbone, TASKS, (*SIZE, 3), **options)


def trainer(seed=0, balancing="uncertainty", **options):
    made = mtl.MultiTaskTrainer(model(seed, freeze_backbone=True), TASKS)
    made.compile(keras.optimizers.Adam(1e-3), balancing=balancing, **options)
    return made


def weights(variables):
    return [v.numpy() for v in variables]


def fit(made, epochs, *callbacks, initial_epoch=0):
    image, targets, masks = batch(TASKS, 4, *SIZE)
    made.fit(
        image, targets, sample_weight=masks, batch_size=2, shuffle=False, verbose=0,
        epochs=epochs, initial_epoch=initial_epoch, callbacks=list(callbacks),
    )  # fmt: skip


@pytest.mark.parametrize("balancing", ["uncertainty", "upgrad"])
def test_it_learns_from_its_epoch_on(balancing):
    made = trainer(balancing=balancing)
    backbone = made.network.backbone
    before, seen = weights(backbone.variables), []

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights(backbone.variables))

    iterations = []
    fit(made, 4, mtl.training.UnfreezeBackbone(2), Record())
    iterations.append(int(made.optimizer.iterations))
    assert iterations == [8]
    for now in seen[:2]:
        for a, b in zip(before, now, strict=True):
            np.testing.assert_array_equal(a, b)
    moved = [np.abs(a - b).max() > 0 for a, b in zip(seen[1], seen[2], strict=True)]
    assert all(moved)
    assert backbone.trainable


@pytest.mark.parametrize("stop", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_resumed_run_equals_one_that_was_not_stopped(stop, tmp_path):
    whole = trainer(ema_momentum=0.9)
    fit(whole, 4, mtl.training.UnfreezeBackbone(2))
    first = trainer(ema_momentum=0.9)
    fit(first, stop, mtl.training.UnfreezeBackbone(2), mtl.training.Backup(tmp_path))
    second, backup = trainer(1, ema_momentum=0.9), mtl.training.Backup(tmp_path)
    fit(second, 4, mtl.training.UnfreezeBackbone(2), backup, initial_epoch=backup.epoch)
    for a, b in zip(weights(whole.variables), weights(second.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_backbone_stays_frozen_in_a_file(tmp_path):
    frozen = model(freeze_backbone=True)
    frozen.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.backbone.trainable
    names = [v.path for v in loaded.trainable_variables]
    assert names
    assert all(path.startswith("decoders.") for path in names)
    assert len(model().trainable_variables) > len(names)


def test_a_network_without_a_backbone_is_refused():
    image = keras.Input((*SIZE, 3))
    plain = keras.Model(image, {t: keras.layers.Conv2D(n, 1)(image) for t, n in TASKS.items()})
    made = mtl.MultiTaskTrainer(plain, TASKS)
    made.compile("sgd")
    with pytest.raises(ValueError, match="UnfreezeBackbone needs a network with a backbone"):
        fit(made, 1, mtl.training.UnfreezeBackbone(1))


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_saved_trainer_continues_with_all_of_it(precision, tmp_path):
    keras.config.set_dtype_policy(precision)
    try:
        network = model(freeze_backbone=True)
        network.backbone.set_learning_rate(0.5, 0.9)
        made = mtl.MultiTaskTrainer(network, TASKS)
        optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
        made.compile(optimizer, balancing="uncertainty")
        fit(made, 1)
        made.save(tmp_path / "trainer.keras")
        again = keras.saving.load_model(tmp_path / "trainer.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    for a, b in zip(made.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    rates = [getattr(v, "learning_rate_multiplier", 1) for v in again.network.backbone.variables]
    assert 0.5 in rates and min(rates) < 0.5
    inner = getattr(again.optimizer, "inner_optimizer", again.optimizer)
    decays = {v.name for v in again.network.variables if inner._use_weight_decay(v)}
    assert "kernel" in decays and not decays & {"bias", "gamma"}
    assert not any(map(inner._use_weight_decay, again.balancing.trainable_variables))


def test_a_run_resumed_within_an_epoch_has_the_same_logs(tmp_path):
    class StopAt(keras.callbacks.Callback):
        def __init__(self, step):
            super().__init__()
            self.step = step

        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == self.step:
                raise KeyboardInterrupt

    def callbacks(folder):
        backup = mtl.training.Backup(folder, every_steps=1)
        return [mtl.training.UnfreezeBackbone(1), backup]

    whole = trainer()
    fit(whole, 3, *callbacks(tmp_path / "a"))
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(), 3, *callbacks(tmp_path / "b"), StopAt(4 + 1))
    second, resumed = trainer(1), callbacks(tmp_path / "b")
    assert (resumed[1].epoch, resumed[1].step) == (2, 1)
    fit(second, 3, *resumed, initial_epoch=2)
    reference = mtl.training.Backup(tmp_path / "a")
    for ours, theirs in zip(resumed[1].history, reference.history, strict=True):
        assert ours["loss"] == theirs["loss"]


def test_update_every_needs_the_backbone_from_the_start():
    made = mtl.MultiTaskTrainer(model(freeze_backbone=True), TASKS)
    with pytest.raises(ValueError, match="update_every and a frozen backbone exclude each other"):
        made.compile("sgd", update_every={"depth": 2})
