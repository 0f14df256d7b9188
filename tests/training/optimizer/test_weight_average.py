"""Moving average of the weights: its values, who sees it, and that a resumed run has the same."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.training.optimizer.weight_average import WeightAverage
from tests.helpers.inputs import batch

TASKS = {"depth": 1, "normals": 3}
SIZE = (16, 24)
MOMENTUM = 0.9


def network(seed=0):
    keras.utils.set_random_seed(seed)
    image = keras.Input((*SIZE, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, padding="same")(image))
    outputs = {t: keras.layers.Conv2D(n, 1, name=t)(x) for t, n in TASKS.items()}
    return keras.Model(image, outputs)


def trainer(seed=0, **options):
    made = mtl.MultiTaskTrainer(network(seed), TASKS)
    made.compile(keras.optimizers.SGD(0.1), ema_momentum=MOMENTUM, **options)
    return made


def weights(model):
    return [v.numpy() for v in model.variables]


def test_values_are_those_of_the_formula():
    variable = keras.Variable(np.float32([1.0, 2.0]))
    average = WeightAverage(MOMENTUM, [variable])
    expected = None
    for step, value in enumerate(np.random.default_rng(0).standard_normal((40, 2))):
        variable.assign(value)
        average.update()
        momentum = min(MOMENTUM, (1 + step) / (10 + step)) if step else 0.0
        expected = value if expected is None else momentum * expected + (1 - momentum) * value
    with average.swapped():
        np.testing.assert_allclose(variable, expected, rtol=1e-5)
    np.testing.assert_allclose(variable, value, rtol=1e-6)


def test_fit_ends_with_the_average_of_all_weights():
    data = batch(TASKS, 2, *SIZE)
    made = trainer()
    expected, step = None, 0

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal expected, step
            now = weights(made.network)
            momentum = min(MOMENTUM, (1 + step) / (10 + step)) if step else 0.0
            old = now if expected is None else expected
            expected = [momentum * a + (1 - momentum) * w for a, w in zip(old, now, strict=True)]
            step += 1

    made.fit(
        *data[:2], sample_weight=data[2], batch_size=1, epochs=5, callbacks=[Record()], verbose=0
    )
    assert step == 10
    for average, ours in zip(expected, weights(made.network), strict=True):
        np.testing.assert_allclose(ours, average, rtol=1e-4, atol=1e-6)


def test_validation_and_the_best_epoch_see_the_average(tmp_path):
    data = batch(TASKS, 2, *SIZE)
    seen = []

    def evaluate(model):
        seen.append(weights(model))
        return {"depth": {"rmse": -len(seen)}}

    best = mtl.training.KeepBest(tmp_path / "best", evaluate, lambda r: r["depth"]["rmse"])
    made = trainer()
    raw = []

    class Validated(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raw.append(weights(made.network))

        def on_test_batch_end(self, batch, logs=None):
            self.validated = weights(made.network)

    look = Validated()
    made.fit(
        *data[:2],
        sample_weight=data[2],
        validation_data=data,
        batch_size=1,
        epochs=2,
        callbacks=[best, look],
        verbose=0,
    )
    final = weights(made.network)
    for a, b, c in zip(seen[-1], look.validated, final, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert any(np.abs(a - r).max() > 1e-4 for a, r in zip(final, raw[-1], strict=True))
    best.restore(made.network)
    for a, b in zip(seen[0], weights(made.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_resumed_run_has_the_same_average(tmp_path):
    data = batch(TASKS, 2, *SIZE)
    arguments = {"sample_weight": data[2], "batch_size": 1, "shuffle": False, "verbose": 0}
    whole = trainer()
    whole.fit(*data[:2], epochs=4, **arguments)
    first = trainer()
    backup = mtl.training.Backup(tmp_path / "backup")
    first.fit(*data[:2], epochs=2, callbacks=[backup], **arguments)
    second, backup = trainer(seed=1), mtl.training.Backup(tmp_path / "backup")
    second.fit(*data[:2], epochs=4, initial_epoch=backup.epoch, callbacks=[backup], **arguments)
    for a, b in zip(weights(whole.network), weights(second.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_saved_trainer_continues_with_it(tmp_path):
    data = batch(TASKS, 2, *SIZE)
    made = trainer()
    made.train_on_batch(*data)
    made.train_on_batch(*data)
    made.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert loaded.weight_average.momentum == MOMENTUM
    for one in (made, loaded):
        one.train_on_batch(*data)
    for a, b in zip(made.weight_average.variables, loaded.weight_average.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 2.0, float("nan")])
def test_another_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match="ema_momentum must be between 0 and 1"):
        mtl.MultiTaskTrainer(network(), TASKS).compile("sgd", ema_momentum=momentum)


def test_an_interrupted_validation_gives_the_weights_back():
    data = batch(TASKS, 2, *SIZE)
    made = trainer()

    class Stop(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    raw = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raw.append(weights(made.network))

    with pytest.raises(KeyboardInterrupt):
        made.fit(
            *data[:2], sample_weight=data[2], validation_data=data, batch_size=1, verbose=0,
            callbacks=[Record(), Stop()],
        )  # fmt: skip
    for a, b in zip(raw[-1], weights(made.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_weight_that_does_not_change_is_its_own_average():
    variable = keras.Variable(np.random.default_rng(0).standard_normal(1000).astype(np.float32))
    average, before = WeightAverage(0.9, [variable]), variable.numpy()
    for _ in range(20):
        average.update()
    average.apply()
    np.testing.assert_array_equal(variable, before)
