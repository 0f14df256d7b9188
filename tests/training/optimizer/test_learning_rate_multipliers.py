"""Learning-rate multipliers: how far marked variables move, with every kind of optimizer."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, batch, tiny_backbone, tiny_batch, tiny_model

TWO = ("depth", "normals")
ROOT = pathlib.Path(__file__).parents[3]


def trainer(optimizer, multiplier=1.0, **kwargs):
    """The shared kernel is marked; its bias and the heads are not."""
    keras.utils.set_random_seed(0)
    model = tiny_model(TWO, activation="linear")
    model.get_layer("shared").kernel.learning_rate_multiplier = multiplier
    made = mtl.MultiTaskTrainer(model, {t: TASKS[t] for t in TWO})
    made.compile(optimizer, metrics={t: [] for t in TWO}, **kwargs)
    return made


def values(made):
    return {v.path: v.numpy().astype(np.float64) for v in made.network.trainable_variables}


def moves(made):
    """How far every variable moves in a step."""
    before = values(made)
    made.train_step(tiny_batch(TWO))
    return {path: value - before[path] for path, value in values(made).items()}


def check(plain, fast, factor=100.0, rtol=1e-3):
    """Check that updates of marked variables are scaled by `factor`, and others unchanged."""
    assert set(plain) == set(fast)
    for path, move in plain.items():
        assert np.abs(move).max() > 0, path
        wanted = move * (factor if path == "shared/kernel" else 1.0)
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(fast[path], wanted, rtol=rtol, atol=rtol * scale, err_msg=path)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "adamw": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.0),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3),
    "clipped": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3)),
    "ema": lambda: keras.optimizers.SGD(1e-3, use_ema=True, ema_momentum=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_marked_variable_moves_so_many_times_as_far(name):
    make = OPTIMIZERS[name]
    check(moves(trainer(make())), moves(trainer(make(), 100.0)))


def test_the_gradient_times_the_multiplied_rate_is_the_step_of_sgd():
    made = trainer(keras.optimizers.SGD(0.5**10), 64.0)
    plain = trainer(keras.optimizers.SGD(0.5**4))
    kernel, own = (m.network.get_layer("shared").kernel for m in (made, plain))
    for m in (made, plain):
        m.train_step(tiny_batch(TWO))
    np.testing.assert_array_equal(kernel, own)  # powers of two: not even rounding differs


@pytest.mark.parametrize("balancing", ["uncertainty", "upgrad", "graddrop"])
def test_it_holds_for_every_kind_of_balancing(balancing):
    method = mtl.balancing.TABLE[balancing].cls
    kwargs = {"seed": 0} if balancing == "graddrop" else {}
    made = [trainer(keras.optimizers.SGD(1e-3), m, balancing=method(**kwargs)) for m in (1.0, 10.0)]
    check(*map(moves, made), factor=10.0)


def test_it_holds_in_a_compiled_step():
    made = trainer(keras.optimizers.Adam(1e-3), 100.0)
    made.optimizer.build(made.trainable_variables)
    before = values(made)
    tf.function(made.train_step, jit_compile=True, autograph=False)(tiny_batch(TWO))
    moved = {path: value - before[path] for path, value in values(made).items()}
    check(moves(trainer(keras.optimizers.Adam(1e-3))), moved)


def test_a_schedule_is_multiplied_in_every_epoch():
    def optimizer():
        return keras.optimizers.SGD(mtl.training.Poly(1e-3, epochs=4, steps_per_epoch=2))

    # The official code's schedule set one rate for all variables from its first epoch on.
    for steps, rate in [(1, 1e-3), (3, 1e-3 * 0.75**0.9), (7, 1e-3 * 0.25**0.9)]:
        fast = trainer(optimizer(), 100.0)
        for _ in range(steps - 1):
            fast.train_step(tiny_batch(TWO))
        plain = trainer(keras.optimizers.SGD(rate))
        for v, w in zip(plain.network.variables, fast.network.variables, strict=True):
            v.assign(w)
        check(moves(plain), moves(fast), rtol=5e-3)


def test_a_loss_scale_in_half_precision():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        found = []
        for multiplier in (1.0, 100.0):
            optimizer = keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(1e-3), initial_scale=8.0
            )
            found.append(moves(trainer(optimizer, multiplier)))
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    check(*found, rtol=2e-2)


def test_averages_follow_the_marked_variable():
    made = trainer(keras.optimizers.SGD(1e-3, use_ema=True, ema_momentum=0.5), 100.0)
    start = values(made)
    moved = moves(made)
    made.optimizer.finalize_variable_values(made.trainable_variables)
    for path, value in values(made).items():
        average = start[path] + 0.5 * moved[path]
        scale = np.abs(moved[path]).max()
        is_first = np.allclose(value, start[path] + moved[path], rtol=0, atol=1e-2 * scale)
        is_mean = np.allclose(value, average, rtol=0, atol=1e-2 * scale)
        assert is_first or is_mean, path  # Keras' first average is the value itself


def test_compiling_again_does_not_multiply_again():
    optimizer = keras.optimizers.SGD(1e-3)
    made = trainer(optimizer, 100.0)
    for _ in range(2):
        made.compile(optimizer, metrics={t: [] for t in TWO})
    check(moves(trainer(keras.optimizers.SGD(1e-3))), moves(made))


def test_an_optimizer_reused_without_marks_is_as_it_was():
    optimizer = keras.optimizers.SGD(1e-3)
    trainer(optimizer, 100.0)
    again = trainer(optimizer, 1.0)
    check(moves(trainer(keras.optimizers.SGD(1e-3))), moves(again), factor=1.0)


def test_weight_decay_keeps_the_optimizers_own_rate():
    def optimizer(decay):
        return keras.optimizers.SGD(1e-3, weight_decay=decay)

    base, decayed = (moves(trainer(optimizer(decay), 100.0)) for decay in (None, 0.5))
    start = values(trainer(optimizer(None)))
    difference = decayed["shared/kernel"] - base["shared/kernel"]
    expected = -0.5 * 1e-3 * start["shared/kernel"]
    np.testing.assert_allclose(difference, expected, rtol=5e-2, atol=2e-6)


def test_waiting_variables_keep_their_multiplier():
    found = []
    for multiplier in (1.0, 100.0):
        made = trainer(keras.optimizers.SGD(1e-3), multiplier, update_every={"depth": 2})
        made.network.get_layer("head_depth").kernel.learning_rate_multiplier = multiplier
        made.compile(
            keras.optimizers.SGD(1e-3),
            metrics={t: [] for t in TWO},
            update_every={"depth": 1, "normals": 1},
        )
        found.append(moves(made))
    for path in ("shared/kernel", "head_depth/kernel"):
        np.testing.assert_allclose(found[1][path], 100 * found[0][path], rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(found[1]["shared/bias"], found[0]["shared/bias"], rtol=1e-3)


def test_the_multiplier_of_an_architecture_survives_saving(tmp_path):
    tasks = {"depth": 1, "normals": 3}
    data = batch(tasks, 2, 16, 24)
    model = mtl.architectures.CrossStitch(
        tiny_backbone(), tasks, (16, 24, 3), learning_rate_multiplier=100.0
    )
    model.save(tmp_path / "model.keras")
    results = []
    for factor in (None, 1.0):
        again = keras.saving.load_model(tmp_path / "model.keras")
        units = [v for v in again.trainable_variables if v.path.endswith("mixing")]
        if factor:
            for unit in units:
                unit.learning_rate_multiplier = factor
        made = mtl.MultiTaskTrainer(again, tasks)
        made.compile(keras.optimizers.SGD(1e-2), metrics={t: [] for t in tasks})
        before = [unit.numpy().astype(np.float64) for unit in units]
        made.train_step(data)
        results.append([unit.numpy() - old for unit, old in zip(units, before, strict=True)])
    for fast, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fast, 100 * plain, rtol=5e-2, atol=1e-2 * np.abs(fast).max())


def test_it_holds_on_two_replicas():
    command = [sys.executable, "-m", "tests.helpers.multiplied_learning_rate", "2", "100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {
        path: np.array(move) for path, move in json.loads(done.stdout.splitlines()[-1]).items()
    }
    check(moves(trainer(keras.optimizers.SGD(1e-3))), found)
