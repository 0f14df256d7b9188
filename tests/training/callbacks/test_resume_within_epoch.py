"""A run that is killed in the middle of an epoch and resumed equals the undisturbed one.

Bit for bit: weights, optimizer, balancing state, and all that is logged but times and memory.
"""

import json
import operator
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.experiments import Silent, run
from mtl_tf.experiments.config import make_config
from tests.helpers.inputs import batch, tiny_model
from tests.helpers.slow import slow_but

TASKS = {"depth": 1, "normals": 3}
SIZE = (8, 8)
NOT_COMPARED = ("epoch_s", "step_ms", "between_epochs_s", "peak_memory_mib")


class KilledError(Exception):
    """What kills a run in these tests."""


class KillAfter(keras.callbacks.Callback):
    """Kill the run after `steps` trained steps."""

    def __init__(self, steps, kill=None):
        super().__init__()
        self.left, self.kill = steps, kill

    def on_train_batch_end(self, batch, logs=None):
        if batch < self.first_trained:
            return
        self.left -= 1
        if self.left <= 0:
            if self.kill is not None:
                self.kill()
            raise KilledError

    def on_epoch_begin(self, epoch, logs=None):
        self.first_trained = self.model.steps_to_skip


class InMemory(mtl.data.DenseDataset):
    """Random images of twice the size, which augmentation turns into others in each epoch."""

    def __init__(self, count=20, tasks=TASKS, **options):
        options = {
            "batch_size": 4,
            "augmentation": mtl.data.Augmentation(zoom=(1.0, 1.2)),
        } | options
        splits = {"train": [str(i) for i in range(count)], "val": ["90", "91"]}
        super().__init__(None, tasks, splits, (*SIZE, 3), **options)
        self.loaded = []

    def load(self, image_id):
        self.loaded.append(image_id)
        _, targets, _ = batch(self.tasks, 1, 16, 16, seed=int(image_id))
        image = np.random.default_rng(int(image_id)).integers(0, 256, (16, 16, 3), np.uint8)
        targets = {task: target[0] for task, target in targets.items()}
        targets["depth"][:4] = 0
        return mtl.data.Sample(image, targets, {"depth": targets["depth"][..., 0] > 0})


def plain(_):
    """A `tf.data` of the user's own, the same in each epoch."""
    return tf.data.Dataset.from_tensor_slices(batch(TASKS, 20, *SIZE)).batch(4)


def packed(folder):
    if not (folder / "packed").exists():
        mtl.data.pack(InMemory(), folder / "packed", shard_bytes=5000)
    return mtl.data.PackedDataset(
        folder / "packed",
        input_shape=(*SIZE, 3),
        batch_size=4,
        augmentation=mtl.data.Augmentation(zoom=(1.0, 1.2)),
    ).train()


def union(_):
    parts = [InMemory(12), InMemory(8, {"depth": 1})]
    return mtl.data.union(parts, batch_size=4).train()


DATA = {
    "augmented": lambda _: InMemory().train(),
    "cached": lambda _: InMemory(cache=True).train(),
    "packed": packed,
    "union": union,
    "plain": plain,
    "even": lambda _: InMemory(24).train(),
}


def trainer(seed=0, network=tiny_model, **options):
    """A trainer of which all that is random or drawn on the way is in a backup."""
    keras.utils.set_random_seed(seed)
    made = mtl.MultiTaskTrainer(network(TASKS), TASKS)
    rate = mtl.training.Poly(1e-2, epochs=3, steps_per_epoch=5)
    made.compile(keras.optimizers.Adam(rate), **options)
    return made


def with_dropout_and_normalisation(tasks):
    image = keras.Input((*SIZE, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, padding="same")(image))
    x = keras.layers.Dropout(0.3)(keras.layers.ReLU()(x))
    return keras.Model(image, {t: keras.layers.Conv2D(c, 1)(x) for t, c in tasks.items()})


def fit(made, dataset, callbacks, begin=0, epochs=3, **options):
    made.fit(dataset, epochs=epochs, initial_epoch=begin, callbacks=callbacks, verbose=0, **options)


def assert_same(whole, resumed, histories):
    for kind in ("variables", "optimizer.variables"):
        expected, found = (operator.attrgetter(kind)(made) for made in (whole, resumed))
        for variable, again in zip(expected, found, strict=True):
            np.testing.assert_array_equal(again, variable, err_msg=variable.path)
    entries = [
        [{k: v for k, v in epoch.items() if k not in NOT_COMPARED} for epoch in history]
        for history in histories
    ]
    assert len(entries[0]) == len(entries[1]) == 3
    for expected, found in zip(*entries, strict=True):
        assert list(found) == list(expected)
        np.testing.assert_equal(found, expected)


def check(folder, kills=(7,), data="augmented", every_steps=2, more=None, **options):
    """Kill process i after `kills[i]` steps, resume, compare; return the last backup."""
    made = DATA[data]
    more = more or (lambda kind: ([], {}))  # callbacks and options of `fit`

    def run(seed, kind, *callbacks):
        backup = mtl.training.Backup(folder / kind, every_steps=every_steps)
        own, fit_options = more(kind)
        trained = trainer(seed, **options)
        try:
            fit(trained, made(folder), [*own, backup, *callbacks], backup.epoch, **fit_options)
        except KilledError:
            assert callbacks
        return trained, backup

    whole, undisturbed = run(0, "whole")
    for number, steps in enumerate(kills):
        run(number, "killed", KillAfter(steps))
    resumed, backup = run(9, "killed")
    assert_same(whole, resumed, (undisturbed.history, backup.history))
    return backup


def interrupted(folder, steps, every_steps=2, **options):
    """Return the backup folder of a run that was killed after `steps` steps."""
    backup = mtl.training.Backup(folder / "backup", every_steps=every_steps)
    with pytest.raises(KilledError):
        fit(trainer(**options), InMemory().train(), [backup, KillAfter(steps)])
    return folder / "backup"


# === What is trained ===


@pytest.mark.parametrize("balancing", slow_but(("famo", "dwa"), sorted(mtl.balancing.TABLE)))
def test_every_method(balancing, tmp_path):
    check(tmp_path, balancing=balancing, run_eagerly=True)


@pytest.mark.parametrize(
    "options",
    [
        {"update_every": {"normals": 3}},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                {"level": "features", "balancing": "upgrad"},
                {"micro_batches": 2, "balancing": "mgda"},
                {"diagnostics": True, "balancing": "pcgrad"},
                {"weight_decay": 1e-3, "loss_weights": {"depth": 2.0}},
            )
        ),
    ],
    ids=lambda options: next(iter(options)),
)
def test_options(options, tmp_path):
    check(tmp_path, run_eagerly=True, **options)


@pytest.mark.parametrize("data", slow_but(("union", "packed"), sorted(DATA)))
def test_data_sets(data, tmp_path):
    check(tmp_path, data=data, run_eagerly=True)


def test_dropout_normalisation_schedule_validation_and_the_best_epoch(tmp_path):
    def sum_of_weights(model):
        return sum(float(abs(weight.numpy()).sum()) for weight in model.weights)

    def more(kind):
        best = mtl.training.KeepBest(tmp_path / f"best_{kind}", sum_of_weights, lambda found: found)
        return [best], {"validation_data": InMemory().val()}

    backup = check(tmp_path, network=with_dropout_and_normalisation, run_eagerly=True, more=more)
    assert "val_depth_loss" in backup.history[0]
    best = [mtl.training.KeepBest(tmp_path / f"best_{k}", None, None) for k in ("whole", "killed")]
    assert best[0].epoch == best[1].epoch and best[0].results == best[1].results


@pytest.mark.parametrize("steps_per_execution", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_compiled_and_several_steps_at_a_time(steps_per_execution, tmp_path):
    """Of six steps; Keras itself stumbles where they do not go into the epoch."""
    options = {"data": "even", "steps_per_execution": steps_per_execution}
    check(tmp_path, kills=(4, 1), every_steps=3, **options)


@pytest.mark.parametrize(
    ("kills", "every_steps"),
    [
        ((4, 1), 2),  # twice in an epoch
        pytest.param((1, 1, 1, 1, 1, 1), 1, marks=pytest.mark.slow),
        pytest.param((5,), 5, marks=pytest.mark.slow),  # all steps done, but not the epoch
        pytest.param((9, 2, 3), 3, marks=pytest.mark.slow),
        pytest.param((14,), 2, marks=pytest.mark.slow),
        pytest.param((7,), 100, marks=pytest.mark.slow),  # there are only whole epochs
    ],
)
def test_kills_at_any_step(kills, every_steps, tmp_path):
    check(tmp_path, kills=kills, every_steps=every_steps, run_eagerly=True)


# === How it is killed ===

SCRIPT = """
import os, sys
import numpy as np
import mtl_tf as mtl
from tests.training.callbacks import test_resume_within_epoch as case

folder, steps = sys.argv[1], int(sys.argv[2])
backup = mtl.training.Backup(folder, every_steps=2)
made = case.trainer(seed=9 * (backup.epoch > 0), balancing="famo", run_eagerly=True)
kill = case.KillAfter(steps, lambda: os.kill(os.getpid(), 9))
callbacks = [backup, kill] if steps else [backup]
case.fit(made, case.InMemory(cache=True).train(), callbacks, backup.epoch)
np.savez(folder + ".npz", *made.variables, *made.optimizer.variables, backup.history[-1]["loss"])
"""


@pytest.mark.slow
def test_a_process_that_is_killed(tmp_path):
    def run(folder, steps):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / folder), str(steps)]
        return subprocess.run(command, capture_output=True, timeout=120).returncode

    assert [run("whole", 0), run("killed", 8), run("killed", 0)] == [0, -signal.SIGKILL, 0]
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as resumed:
        for name in whole:
            if whole[name].dtype != np.uint32:  # the seed of the process
                np.testing.assert_array_equal(resumed[name], whole[name])


@pytest.mark.parametrize("place", ["weights", "renamed"])
def test_killed_while_the_backup_is_written(place, tmp_path, monkeypatch):
    """The backup before it counts, or the new one whole."""
    saved = []

    def save_weights(self, path, **kwargs):
        if place == "weights" and len(saved) == 3:
            path.write_bytes(b"half of it")
            raise KilledError
        saved.append(path)
        save(self, path, **kwargs)

    def rmtree(path, **kwargs):
        if place == "renamed" and len(saved) == 4 and "epoch" in str(path):
            raise KilledError
        remove(path, **kwargs)

    save, remove = mtl.MultiTaskTrainer.save_weights, shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(mtl.MultiTaskTrainer, "save_weights", save_weights)
        patch.setattr(shutil, "rmtree", rmtree)
        folder = interrupted(tmp_path, 100, run_eagerly=True)
    assert len(list(folder.iterdir())) == 2
    backup = mtl.training.Backup(folder, every_steps=2)
    assert (backup.epoch, backup.step) == ((1, 0) if place == "weights" else (1, 2))
    whole, resumed = trainer(run_eagerly=True), trainer(3, run_eagerly=True)
    undisturbed = mtl.training.Backup(tmp_path / "whole")
    fit(whole, InMemory().train(), [undisturbed])
    fit(resumed, InMemory().train(), [backup], backup.epoch)
    assert_same(whole, resumed, (undisturbed.history, backup.history))


# === What is skipped ===


def test_skipped_batches_are_zeros_and_not_decoded(tmp_path):
    folder = interrupted(tmp_path, 9, every_steps=4, run_eagerly=True)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, len(set(data.loaded))))

    data = InMemory(num_workers=1)
    data.specs  # noqa: B018 (looks at one image)
    data.loaded.clear()
    backup = mtl.training.Backup(folder, every_steps=4)
    assert (backup.epoch, backup.step) == (1, 4)
    train = data.train()
    train.set_epoch(1, 4)
    batches = list(train)
    assert len(data.loaded) == 4 and len(batches) == 5
    for image, targets, masks in batches[:4]:
        assert not any(x.numpy().any() for x in tf.nest.flatten((image, targets, masks)))
    again = list(train)  # whoever looks again looks at all of it
    assert all(image.numpy().any() for image, _, _ in again) and len(data.loaded) == 24
    fresh = InMemory().train()
    fresh.set_epoch(1)
    for batch_, expected in zip([batches[4], *again], list(fresh)[4:] + list(fresh), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch_, expected)
    data.loaded.clear()
    fit(trainer(run_eagerly=True), train, [backup, Look()], 1, epochs=2)
    assert len(data.loaded) == 4 and [batch for batch, _ in seen] == list(range(5))


def test_a_run_stopped_among_skipped_steps_leaves_none_to_skip(tmp_path):
    folder = interrupted(tmp_path, 9, every_steps=4, run_eagerly=True)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KilledError

    made, backup = trainer(run_eagerly=True), mtl.training.Backup(folder, every_steps=4)
    with pytest.raises(KilledError):
        fit(made, InMemory().train(), [backup, Stop()], 1)
    assert made.steps_to_skip == 0
    fit(made, InMemory().train(), [backup], backup.epoch)  # the same objects go on
    expected = mtl.training.Backup(tmp_path / "whole")
    whole = trainer(run_eagerly=True)
    fit(whole, InMemory().train(), [expected])
    assert_same(whole, made, (expected.history, backup.history))


def test_another_epoch_than_that_of_the_backup_is_trained_whole(tmp_path):
    """`initial_epoch` forgotten: nothing is skipped, and no batch is zeros."""
    folder = interrupted(tmp_path, 9, every_steps=4, run_eagerly=True)
    data, backup = InMemory(), mtl.training.Backup(folder, every_steps=4)
    made = trainer(run_eagerly=True)
    fit(made, data.train(), [backup], 0)
    assert int(made.optimizer.iterations) == 9 + 15
    assert (backup.epoch, backup.step, len(backup.history)) == (3, 0, 3)


# === Other backups ===


def test_a_backup_of_an_early_version(tmp_path):
    """Its metadata have no step, and there is no file of logs."""
    undisturbed = mtl.training.Backup(tmp_path / "whole")
    whole = trainer(run_eagerly=True)
    fit(whole, InMemory().train(), [undisturbed])
    early = mtl.training.Backup(tmp_path / "early")
    fit(trainer(run_eagerly=True), InMemory().train(), [early], epochs=1)
    (latest,) = (tmp_path / "early").iterdir()
    (latest / "logs.npz").unlink()
    metadata = json.loads((latest / "metadata.json").read_text())
    kept = {name: metadata[name] for name in ("epoch", "history", "random_states")}
    (latest / "metadata.json").write_text(json.dumps(kept))
    early = mtl.training.Backup(tmp_path / "early", every_steps=2)
    assert (early.epoch, early.step) == (1, 0)
    resumed = trainer(5, run_eagerly=True)
    fit(resumed, InMemory().train(), [early], early.epoch)
    assert_same(whole, resumed, (undisturbed.history, early.history))


class Lazy(keras.metrics.Metric):
    """Makes its variable when it is first used."""

    seen = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.seen is None:
            self.seen = self.add_weight(shape=(), initializer="zeros", name="seen")
        self.seen.assign_add(1.0)

    def result(self):
        return 0.0 if self.seen is None else self.seen


def test_logs_that_cannot_be_restored_are_told_and_not_mixed_up(tmp_path):
    options = {"metrics": {"depth": [Lazy(name="lazy")], "normals": []}, "run_eagerly": True}
    folder = interrupted(tmp_path, 4, **options)
    backup = mtl.training.Backup(folder, every_steps=2)
    made = trainer(metrics={"depth": [Lazy(name="lazy")], "normals": []}, run_eagerly=True)
    with pytest.warns(UserWarning, match="The logs of epoch 1 begin at step 5"):
        fit(made, InMemory().train(), [backup], epochs=1)
    assert backup.history[0]["depth_lazy"] == 1


def test_wrong_periods_are_told(tmp_path):
    for wrong in ({"every_steps": 0}, {"every_minutes": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be positive"):
            mtl.training.Backup(tmp_path, **wrong)


# === The command line ===


@pytest.mark.slow
def test_a_run_with_a_short_time_limit_advances(tmp_path, monkeypatch):
    """One epoch is longer than what the limit allows: each process gets a few steps further."""
    config = make_config(
        tasks=("depth",),
        height=32,
        width=64,
        train_size=40,
        val_size=2,
        batch_size=4,
        epochs=1,
        schedule="constant",
        architecture="single_task",
    )
    monkeypatch.setattr(sys.modules[run.__module__], "_BACKUP_MINUTES", 1e-9)
    save, saved, steps = mtl.training.Backup._save, [], []

    def save_thrice(self, epoch_s):
        save(self, epoch_s)
        saved.append(self.step)
        if self.step and len(saved) == 3:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(mtl.training.Backup, "_save", save_thrice)
        for _ in range(3):
            with pytest.raises(KilledError):
                run(config, tmp_path / "run", resume=True, progress=Silent())
            steps.append(mtl.training.Backup(tmp_path / "run" / "backup").step)
            saved.clear()
    assert steps == [3, 6, 9]
    resumed = run(config, tmp_path / "run", resume=True, progress=Silent())
    whole = run(config, tmp_path / "whole", progress=Silent())
    for name, value in whole["history"][0].items():
        if name not in NOT_COMPARED:
            assert resumed["history"][0][name] == pytest.approx(value, rel=1e-4), name
    for metric, value in whole["results"]["depth"].items():
        assert resumed["results"]["depth"][metric] == pytest.approx(value, rel=1e-3), metric
