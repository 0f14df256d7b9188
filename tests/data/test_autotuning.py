"""No iterator of ours has TensorFlow's autotuning thread, for which dropping it would wait."""

import os
import subprocess
import sys
import time

import keras
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.autotuning import without_autotuning
from tests.helpers.inputs import batch, tiny_model, tiny_trainer

TASKS = {"depth": 1, "normals": 3}


def rooms(**options):
    size = {"input_shape": (8, 8, 3), "train_size": 8, "val_size": 2, "batch_size": 2}
    return mtl.data.RenderedRooms(TASKS, **(size | options))


def packed(folder):
    mtl.data.pack(rooms(), folder / "packed")
    return mtl.data.PackedDataset(folder / "packed", batch_size=2)


def own(parallel=False, enabled=None):
    """A user's own data set."""
    dataset = tf.data.Dataset.from_tensor_slices(batch(TASKS, 8, 8, 8)).batch(2)
    if parallel:
        dataset = dataset.map(lambda *b: b, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
    if enabled is not None:
        options = tf.data.Options()
        options.autotune.enabled = enabled
        dataset = dataset.with_options(options)
    return dataset


@pytest.fixture
def iterated(monkeypatch):
    """What `autotune.enabled` is for each data set of which an iterator is made, Keras' too."""
    found, make = [], tf.data.Dataset.__iter__

    def look(dataset):
        found.append(dataset.options().autotune.enabled)
        return make(dataset)

    monkeypatch.setattr(tf.data.Dataset, "__iter__", look)
    return found


def fit(x, **options):
    return tiny_trainer(run_eagerly=True).fit(x, verbose=0, epochs=2, **options)


PIPELINES = {
    "train": lambda _: list(rooms().train()),
    "val": lambda _: list(rooms().val()),
    "test": lambda _: list(rooms().test()),
    "batches": lambda _: list(rooms().batches("train", original_size=True).take(2)),
    "made of ours": lambda _: list(rooms().train().unbatch().batch(3).repeat(2).prefetch(2)),
    "packed": lambda folder: list(packed(folder).train()),
    "packed stream": lambda folder: list(packed(folder).stream("train", training=True)),
    "union": lambda _: list(mtl.data.union([rooms(), rooms()], batch_size=2).train()),
    "fit": lambda _: fit(rooms().train(), validation_data=rooms().val()),
    "fit, own": lambda _: fit(own(), validation_data=own()),
    "fit, own with AUTOTUNE": lambda _: fit(own(True), validation_data=own(True)),
    "fit, packed stream": lambda folder: fit(packed(folder).stream("train", training=True)),
    "Keras' evaluate": lambda _: tiny_trainer(run_eagerly=True).evaluate(own(True), verbose=0),
    "Keras' predict": lambda _: tiny_trainer(run_eagerly=True).predict(own(True), verbose=0),
    "evaluate": lambda _: mtl.evaluation.evaluate(tiny_model(), own(True), TASKS),
    "evaluate images": lambda _: mtl.evaluation.evaluate_images(tiny_model(), own(), TASKS),
    "evaluate test": lambda _: mtl.evaluation.evaluate(tiny_model(), rooms().test(), TASKS),
    "baseline": lambda _: mtl.evaluation.trivial_baseline(own(True), own(True), TASKS),
    "baseline, ours": lambda _: mtl.evaluation.trivial_baseline(
        rooms().batches("train"), rooms().test(), TASKS
    ),
}


@pytest.mark.filterwarnings(
    "ignore:Your input ran out of data"
)  # a stream does not know its length
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines(name, iterated, tmp_path):
    PIPELINES[name](tmp_path)
    assert iterated and set(iterated) == {False}


def test_what_the_user_chose_is_respected(iterated):
    fit(own(True, enabled=True), validation_data=own(enabled=True))
    assert set(iterated) == {True}
    others = tf.data.Options()
    others.deterministic = False
    others.threading.private_threadpool_size = 3
    options = without_autotuning(own().with_options(others)).options()
    assert options.deterministic is False and options.threading.private_threadpool_size == 3
    assert options.autotune.enabled is False


def test_what_is_no_data_set_is_left_alone():
    arrays = batch(TASKS, 4, 8, 8)
    for other in (None, arrays, [1, 2], iter(())):
        assert without_autotuning(other) is other
    assert without_autotuning(rooms().train().take(1)).options().autotune.enabled is False


def test_a_data_set_of_ours_still_hears_which_epoch_begins(iterated):
    train = rooms().train()
    heard, train.set_epoch = [], lambda *said: heard.append(said)
    fit(train, initial_epoch=1)
    assert heard == [(1,)] and set(iterated) == {False}


def test_the_seconds_between_epochs_are_in_the_history(tmp_path):
    class Pause(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            time.sleep(0.3 * (epoch == 1))

    backup = mtl.training.Backup(tmp_path)
    made = tiny_trainer(run_eagerly=True)
    made.fit(own(), epochs=3, verbose=0, callbacks=[backup, Pause()])
    waits = [epoch["between_epochs_s"] for epoch in backup.history]
    assert len(waits) == 3 and all(wait >= 0 for wait in waits)
    assert 0.3 <= waits[1] < 5 and waits[2] < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ours", "own"])
def test_no_epoch_waits_on_a_busy_machine(kind):
    """With the thread up to 60 s passed between two epochs, in every second one."""
    train, val = (
        (rooms(cache=True).train(), rooms(cache=True).val())
        if kind == "ours"
        else (own(True), own(True))
    )
    waits = []

    class Times(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begun = time.monotonic()

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                waits.append(time.monotonic() - self.begun)

        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.2)

    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        made = tiny_trainer()
        made.fit(train, validation_data=val, epochs=25, verbose=0, callbacks=[Times()])
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert len(waits) == 25 and max(waits[1:]) < 2.0, waits
