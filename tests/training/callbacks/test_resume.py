"""An interrupted and resumed run equals the uninterrupted one."""

import json

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import small_model, tiny_batch, tiny_trainer
from tests.helpers.slow import slow_but

TASKS = {"depth": 1, "normals": 3}


class InterruptedRunError(Exception):
    """What kills a run in these tests."""


class InterruptAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedRunError


def rooms():
    return mtl.data.RenderedRooms(
        TASKS, input_shape=(32, 64, 3), train_size=8, val_size=4, batch_size=4, cache=True
    )


def with_dropout(model):
    image = keras.Input(model.input_shape[1:])
    return keras.Model(image, model(keras.layers.Dropout(0.2)(image)))


def trainer(seed, balancing, dropout=False):
    keras.utils.set_random_seed(seed)
    model = with_dropout(small_model(TASKS)) if dropout else small_model(TASKS)
    made = mtl.MultiTaskTrainer(model, TASKS)
    rate = mtl.training.Poly(1e-2, epochs=4, steps_per_epoch=2)
    made.compile(keras.optimizers.Adam(rate), balancing=balancing)
    return made


@pytest.mark.parametrize(
    ("kind", "balancing"),
    [
        ("backup", "famo"),
        pytest.param("keras", "uncertainty", marks=pytest.mark.slow),
        pytest.param("backup", "fixed_weights", marks=pytest.mark.slow),
    ],
)
def test_the_loss_curve_is_the_same(kind, balancing, tmp_path):
    def callback():
        if kind == "keras":
            return keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return mtl.training.Backup(tmp_path / "backup")

    dropout = kind == "backup"  # Keras leaves the state of dropout's generator out
    whole = trainer(0, balancing, dropout).fit(rooms().train(), epochs=4, verbose=0).history
    with pytest.raises(InterruptedRunError):
        trainer(0, balancing, dropout).fit(
            rooms().train(), epochs=4, verbose=0, callbacks=[callback(), InterruptAt(2)]
        )
    resumed = trainer(1, balancing, dropout)
    backup = callback()
    begin = backup.epoch if kind == "backup" else 0
    history = resumed.fit(
        rooms().train(), epochs=4, verbose=0, callbacks=[backup], initial_epoch=begin
    ).history
    for name, values in whole.items():
        np.testing.assert_allclose(history[name], values[2:], rtol=2e-3, err_msg=name)
    if kind == "backup":
        assert [epoch["loss"] for epoch in backup.history][2:] == history["loss"]
        assert len(backup.history) == 4


@pytest.mark.parametrize(
    "balancing",
    slow_but(("famo", "gradnorm", "uncertainty", "upgrad"), sorted(mtl.balancing.TABLE)),
)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(balancing, tmp_path):
    """State of the network, the optimizer and the method, after epochs with absent tasks too."""
    image, targets, masks = tiny_batch(size=8)
    masks["normals"][:4] = 0
    stch = mtl.balancing.STCH

    def run(epochs, seed, callbacks=(), begin=0):
        method = stch(warmup_epochs=2) if balancing == "stch" else balancing
        made = tiny_trainer(
            method, optimizer=keras.optimizers.Adam(1e-2), seed=seed, run_eagerly=True
        )
        made.fit(
            image,
            targets,
            sample_weight=masks,
            batch_size=4,
            shuffle=False,
            verbose=0,
            epochs=epochs,
            initial_epoch=begin,
            callbacks=list(callbacks),
        )
        return made

    whole = run(4, seed=0)
    run(2, seed=0, callbacks=[mtl.training.Backup(tmp_path)])
    backup = mtl.training.Backup(tmp_path)
    resumed = run(4, seed=1, callbacks=[backup], begin=backup.epoch)
    pairs = zip(whole.variables, resumed.variables, strict=True)
    for variable, again in pairs:
        np.testing.assert_array_equal(again.numpy(), variable.numpy(), err_msg=variable.path)
    for variable, again in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(again.numpy(), variable.numpy(), err_msg=variable.path)


def test_backup_keeps_the_last_whole_epoch_and_nothing_else(tmp_path):
    made = trainer(0, None)
    made.fit(rooms().train(), epochs=2, verbose=0, callbacks=[mtl.training.Backup(tmp_path)])
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_000002"]
    (tmp_path / "unfinished").mkdir()
    assert mtl.training.Backup(tmp_path).epoch == 2


def test_backup_does_not_save_a_loss_that_is_not_finite(tmp_path):
    made = trainer(0, None)
    backup = mtl.training.Backup(tmp_path)
    backup.set_model(made)
    backup.on_epoch_end(0, {"loss": float("nan")})
    assert backup.epoch == 0


def test_damaged_backup_is_told(tmp_path):
    (tmp_path / "epoch_000001").mkdir()
    (tmp_path / "epoch_000001" / "metadata.json").write_text(json.dumps({"epoch": 1})[:-1])
    with pytest.raises(ValueError, match="epoch_000001"):
        mtl.training.Backup(tmp_path)


def test_poly_is_constant_within_an_epoch_and_ends_at_zero():
    schedule = mtl.training.Poly(0.1, epochs=10, steps_per_epoch=4)
    rates = [float(schedule(step)) for step in (0, 3, 4, 20, 40, 50)]
    expected = [0.1, 0.1, 0.1 * 0.9**0.9, 0.1 * 0.535887, 0.0, 0.0]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    again = mtl.training.Poly.from_config(schedule.get_config())
    assert float(again(20)) == rates[3]
    with pytest.raises(ValueError, match="epochs"):
        mtl.training.Poly(0.1, epochs=0, steps_per_epoch=4)


def test_a_backup_serves_a_second_fit(tmp_path):
    made = trainer(0, None)
    backup = mtl.training.Backup(tmp_path)
    made.fit(rooms().train(), epochs=2, verbose=0, callbacks=[backup])
    made.fit(rooms().train(), epochs=1, verbose=0, callbacks=[backup])
    assert (backup.epoch, len(backup.history)) == (1, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_000001"]
