"""Ctrl-C and SIGTERM: the step ends, the backup holds it, and a resumed run is the same."""

import os
import signal
import threading

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_backbone

TASKS = {"depth": 1}
SIZE = (16, 24)
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _usual_handler(monkeypatch):
    """A job in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Ask(keras.callbacks.Callback):
    """Sends a signal to this process at a given moment, as Ctrl-C does."""

    def __init__(self, number, moment, times=1):
        super().__init__()
        self.number, self.moment, self.times = number, moment, times

    def on_train_batch_begin(self, batch, logs=None):
        self.at("step", batch)

    def on_test_batch_begin(self, batch, logs=None):
        self.at("validation", batch)

    def on_epoch_end(self, epoch, logs=None):
        self.at("end", epoch)

    def at(self, kind, index):
        if self.moment == (kind, index):
            self.moment = None
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


def fit(folder, ask=None):
    keras.utils.set_random_seed(0)
    network = mtl.architectures.SingleTask(tiny_backbone(*SIZE), TASKS, (*SIZE, 3))
    trainer = mtl.MultiTaskTrainer(network, TASKS)
    trainer.compile(keras.optimizers.Adam(1e-3))
    images, targets, masks = batch(TASKS, 4, *SIZE)
    backup = mtl.training.Backup(folder)
    arrays = {"x": images, "y": targets, "sample_weight": masks, "batch_size": 1}
    with mtl.training.stop_on_signals(backup) as stop:
        trainer.fit(
            **arrays, epochs=2, initial_epoch=backup.epoch, shuffle=False, verbose=0,
            validation_data=(images, targets, masks),
            callbacks=[backup, *filter(None, [ask]), stop],
        )  # fmt: skip
    return trainer.network.get_weights(), backup


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("moment", "state"),
    [(("step", 1), (0, 2)), (("end", 0), (1, 0)), (("validation", 1), (0, 4))],
    ids=["step", "end of epoch", "validation"],
)
def test_it_stops_saves_and_resumes(number, moment, state, tmp_path):
    handlers = [signal.getsignal(n) for n in SIGNALS]
    with pytest.raises(mtl.training.Stopped) as raised:
        fit(tmp_path / "stopped", Ask(number, moment))
    assert raised.value.number == number and isinstance(raised.value, KeyboardInterrupt)
    assert raised.value.is_saved
    assert [signal.getsignal(n) for n in SIGNALS] == handlers
    backup = mtl.training.Backup(tmp_path / "stopped")
    assert (backup.epoch, backup.step) == state
    resumed, _ = fit(tmp_path / "stopped")
    whole, _ = fit(tmp_path / "whole")
    for a, b in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_one_stops_at_once(tmp_path):
    with pytest.raises(mtl.training.Stopped) as raised:
        fit(tmp_path, Ask(signal.SIGINT, ("step", 1), times=2))
    assert not raised.value.is_saved and not list(tmp_path.glob("epoch_*"))


def test_in_another_thread_nothing_changes(tmp_path):
    handlers = [signal.getsignal(n) for n in SIGNALS]
    seen = []
    thread = threading.Thread(target=lambda: seen.append(fit(tmp_path)))
    thread.start()
    thread.join()
    assert seen and [signal.getsignal(n) for n in SIGNALS] == handlers
