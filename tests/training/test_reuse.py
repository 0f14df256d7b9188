"""State is not carried into the next trainer: a reused object is reset or raises an error."""

import gc
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import tiny_batch, tiny_trainer
from tests.helpers.slow import slow_but

METHODS = sorted(mtl.balancing.TABLE)
WITH_STATE = ("dwa", "famo", "gradnorm", "gradvac", "rlw", "stch", "uncertainty")


def history(made, epochs=3):
    image, targets, masks = tiny_batch()
    masks["normals"][0] = 0
    logs = made.fit(
        image, targets, sample_weight=masks, batch_size=2, shuffle=False, epochs=epochs, verbose=0
    ).history
    return dict(logs)


def new(name):
    cls = mtl.balancing.TABLE[name].cls
    takes_seed = "seed" in inspect.signature(cls.__init__).parameters
    return cls(seed=1) if takes_seed else cls()


def trainer(balancing, **options):
    return tiny_trainer(
        balancing, optimizer=keras.optimizers.Adam(1e-2), run_eagerly=True, **options
    )


@pytest.mark.parametrize("name", slow_but(WITH_STATE, METHODS))
@pytest.mark.filterwarnings("ignore:Task .* had the weight")
def test_a_method_used_again_starts_afresh(name):
    method = new(name)
    first, second, fresh = (history(trainer(m)) for m in (method, method, new(name)))
    assert first == second == fresh


@pytest.mark.parametrize("name", ["gradnorm", "famo", "uncertainty", "stch"])
def test_also_with_another_number_of_tasks(name):
    method = new(name)
    history(trainer(method))
    three = trainer(method, tasks=("depth", "normals", "saliency"))
    image, targets, masks = tiny_batch(("depth", "normals", "saliency"))
    logs = three.fit(image, targets, sample_weight=masks, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    assert three.balancing is not method
    assert type(three.balancing) is type(method)


def test_also_when_the_first_trainer_is_gone():
    method = mtl.balancing.DWA()
    first = history(trainer(method))
    gc.collect()
    assert history(trainer(method)) == first


def test_the_same_trainer_compiled_again_keeps_the_state():
    made = trainer(mtl.balancing.GradNorm())
    history(made)
    method = made.balancing
    weights = [v.numpy() for v in method.variables]
    made.compile("sgd", balancing=method, metrics={"depth": [], "normals": []}, run_eagerly=True)
    assert made.balancing is method
    for old, variable in zip(weights, method.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    history(made)


def test_a_name_is_fresh_each_time():
    assert history(trainer("dwa")) == history(trainer("dwa"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: mtl.training.OrthogonalGradients(0.5),
        lambda: mtl.training.AdversarialGradients(0.5, ramp_steps=3),
    ],
    ids=["orthogonal", "adversarial"],
)
def test_a_penalty_used_again_starts_afresh(make):
    penalty = make()
    found = [history(trainer(None, gradient_penalties=[p])) for p in (penalty, penalty, make())]
    assert found[0] == found[1] == found[2]


class WithArgument(mtl.balancing.Scalarizer):
    def __init__(self, share):
        super().__init__()
        self.share = share

    def compute_scalar(self, losses, is_present, training):
        return self.share * tf.reduce_sum(losses)


class WithConfig(WithArgument):
    def __init__(self, share, name=None):
        super().__init__(share)

    def get_config(self):
        return {**super().get_config(), "share": self.share}


class Plain(mtl.balancing.Scalarizer):
    """Its constructor takes no name, which `get_config` has."""

    def __init__(self):
        super().__init__()

    def make_state(self, num_tasks):
        self.steps = self.add_state("steps", ())

    def compute_scalar(self, losses, is_present, training):
        if training:
            self.steps.assign_add(1.0)
        return tf.reduce_sum(losses) * tf.cast(self.steps, losses.dtype)


def test_a_method_of_ones_own_without_its_arguments_is_refused():
    method = WithArgument(2.0)
    history(trainer(method))
    with pytest.raises(ValueError, match=r"WithArgument object was used .*lacks \['share'\].*new"):
        trainer(method)
    trainer(WithArgument(2.0))


def test_a_method_of_ones_own_with_a_configuration_is_copied():
    method = WithConfig(2.0)
    first = history(trainer(method))
    again = trainer(method)
    assert (again.balancing is not method, again.balancing.share) == (True, 2.0)
    assert history(again) == first
    method = Plain()
    assert history(trainer(method)) == history(trainer(method))


@pytest.mark.parametrize("kind", ["Backup", "KeepBest"])
def test_a_callback_used_again_refuses(kind, tmp_path):
    if kind == "Backup":
        callback = mtl.training.Backup(tmp_path)
    else:
        callback = mtl.training.KeepBest(tmp_path, lambda model: {}, lambda results: 0.0)
    image, targets, _ = tiny_batch()
    made = trainer(None)
    made.fit(image, targets, callbacks=callback, verbose=0)
    made.fit(image, targets, callbacks=callback, verbose=0)  # of the same trainer: goes on
    other = trainer(None)
    before = other.network.get_layer("shared").kernel.numpy()
    with pytest.raises(ValueError, match=f"{kind} was used with another trainer.*make a new"):
        other.fit(image, targets, callbacks=callback, verbose=0)
    np.testing.assert_array_equal(other.network.get_layer("shared").kernel.numpy(), before)


def test_an_optimizer_used_again_is_refused_as_keras_does():
    optimizer = keras.optimizers.Adam(1e-2)
    history(tiny_trainer(optimizer=optimizer))
    with pytest.raises(ValueError, match=r"optimizer|[Uu]nknown variable"):
        history(tiny_trainer(optimizer=optimizer))


def test_a_schedule_has_no_state():
    schedule = mtl.training.Poly(0.1, epochs=4, steps_per_epoch=2)
    found = [history(tiny_trainer(optimizer=keras.optimizers.SGD(schedule))) for _ in range(2)]
    assert found[0] == found[1]
