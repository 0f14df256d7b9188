"""The best epoch is kept, whatever comes after it, and a resumed run goes on with it."""

import json
import math

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import tiny_batch, tiny_trainer

SCORES = [0.1, 0.7, math.nan, 0.3, 0.7, 0.2]


def trained(folder, epochs=6, first_epoch=0, initial_epoch=0):
    """A run whose scores are fixed; the weights of its network after each epoch; the callback."""
    made = tiny_trainer("fixed_weights", optimizer=keras.optimizers.SGD(0.1))
    told, weights = [], []

    def evaluate(model):
        assert model is made.network
        told.append(SCORES[initial_epoch + len(told) + max(0, first_epoch - initial_epoch)])
        return {"depth": {"score": told[-1]}}

    best = mtl.training.KeepBest(
        folder, evaluate, lambda results: results["depth"]["score"], first_epoch
    )
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(made.network.get_weights())
    )
    image, targets, masks = tiny_batch()
    made.fit(
        image,
        targets,
        sample_weight=masks,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[best, note],
        verbose=0,
    )
    return made, best, weights


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_first_of_the_best_epochs_is_kept(tmp_path):
    made, best, weights = trained(tmp_path)
    assert (best.epoch, best.results) == (1, {"depth": {"score": 0.7}})
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_000001"]
    assert same(made.network.get_weights(), weights[5]) and not same(weights[1], weights[5])
    best.restore(made.network)
    assert same(made.network.get_weights(), weights[1])


def test_earlier_epochs_are_not_evaluated(tmp_path):
    made, best, weights = trained(tmp_path, first_epoch=3)
    assert best.epoch == 4
    best.restore(made.network)
    assert same(made.network.get_weights(), weights[4])


def test_without_a_best_epoch_nothing_is_restored(tmp_path):
    made, best, weights = trained(tmp_path, epochs=2, first_epoch=2)
    assert best.epoch is None and best.results is None
    best.restore(made.network)
    assert same(made.network.get_weights(), weights[-1])


def test_a_resumed_run_knows_what_was_best(tmp_path):
    trained(tmp_path, epochs=2)
    made, best, _ = trained(tmp_path, epochs=6, initial_epoch=2)
    assert best.epoch == 1 and best.results["depth"]["score"] == 0.7
    before = made.network.get_weights()
    best.restore(made.network)
    assert not same(before, made.network.get_weights())


def test_an_epoch_that_is_trained_again_replaces_itself(tmp_path):
    trained(tmp_path, epochs=2)
    worse = {"epoch": 1, "results": {"depth": {"score": 0}}}
    (tmp_path / "epoch_000001" / "best.json").write_text(json.dumps(worse))
    made, best, weights = trained(tmp_path, epochs=2, initial_epoch=1)
    assert best.results["depth"]["score"] == 0.7
    assert [path.name for path in tmp_path.glob("epoch_*")] == ["epoch_000001_again"]
    best.restore(made.network)
    assert same(made.network.get_weights(), weights[0])


def test_damaged_metadata_is_told(tmp_path):
    trained(tmp_path, epochs=1)
    path = tmp_path / "epoch_000000" / "best.json"
    assert json.loads(path.read_text())["epoch"] == 0
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match=r"epoch_000000.*Delete it"):
        mtl.training.KeepBest(tmp_path, lambda model: None, lambda results: 0.0)
