"""Trainers of tasks of one's own, saved and loaded: nothing depends on what a task is called."""

import dataclasses
import functools
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.own_tasks import ALL, KINDS, TASKS, Cauchy, OwnData, network, sigmoid_of, trainer
from tests.helpers.slow import slow_but


@pytest.fixture(scope="module")
def data():
    return OwnData()


def load(path, **options):
    with pytest.warns(UserWarning, match=r"activation 'sigmoid_of' of task '(cracks|road)'"):
        return keras.saving.load_model(path, **options)


OPTIONS = {
    "plain": {},
    "uncertainty": {"balancing": "uncertainty"},
    "pcgrad": {"balancing": "pcgrad"},
    "graddrop": {"balancing": "graddrop"},
    "features": {"balancing": "mgda", "level": "features"},
    "asynchronous": {"update_every": {"nyu/depth": 2, "scene": 3}},
    "parts": {"micro_batches": 2, "diagnostics": True},
}


@pytest.mark.parametrize("name", slow_but(("plain", "features", "asynchronous"), OPTIONS))
@pytest.mark.filterwarnings("ignore:Task .* had the weight")  # so it is with ten tasks
def test_all_tasks_train_together(name, data):
    made = trainer(**OPTIONS[name])
    history = made.fit(data.train(), validation_data=data.val(), epochs=2, verbose=0).history
    assert history["not_finite"] == [0.0, 0.0]
    for task in ALL:
        assert np.isfinite(history[f"{task.name}_loss"]).all()
        main = [name for name in history if name == f"{task.name}_{task.main_metric}"]
        assert main, (task.name, list(history))


def test_evaluate_agrees_with_the_trainers_own(data):
    made = trainer()
    logs = made.evaluate(data.val(), verbose=0, return_dict=True)
    found = mtl.evaluation.evaluate(made, data.val(), ALL)
    for task in ALL:
        expected = float(logs[f"{task.name}_{task.main_metric}"])
        assert found[task.name][task.main_metric] == pytest.approx(expected, rel=1e-4)


def test_a_saved_trainer_knows_its_tasks(data, tmp_path):
    made = trainer(balancing="dwa")
    made.fit(data.train(), verbose=0)
    made.save(tmp_path / "own.keras")
    again = load(tmp_path / "own.keras")
    for ours, theirs in zip(ALL, again.tasks, strict=True):
        plain = ("name", "channels", "main_metric", "higher_is_better", "kind")
        for field in plain:
            assert getattr(ours, field) == getattr(theirs, field)
        assert type(theirs.loss()) is type(ours.loss())
        metrics = [[type(m), m.name] for m in theirs.metrics(theirs.channels)]
        assert metrics == [[type(m), m.name] for m in ours.metrics(ours.channels)]
    heat = again.tasks[0].loss()
    assert (type(heat), heat.scale) == (Cauchy, 0.5)  # though it has no get_config
    ours, theirs = (t.evaluate(data.val(), verbose=0, return_dict=True) for t in (made, again))
    assert ours == theirs
    found = mtl.evaluation.evaluate(again, data.val(), again.tasks)
    assert found == mtl.evaluation.evaluate(made, data.val(), ALL)
    with pytest.raises(ValueError, match=r"activation 'sigmoid_of' of task 'road'.*pass your"):
        again.tasks[list(TASKS).index("road")].activation(tf.zeros(1))
    assert mtl.metrics.delta_m(found, found | {"scene": {"share": 1.0}}, again.tasks) <= 0.1


def test_custom_objects_and_registration_bring_functions_back(tmp_path, recwarn):
    @keras.saving.register_keras_serializable(package="test_own_tasks_training")
    def halved(raw):
        return raw / 2

    class Local(mtl.losses.DenseLoss):
        def masked(self, y_true, y_pred, weights):
            return tf.reduce_sum(tf.abs(y_true - y_pred)[..., 0] * weights)

    tasks = [
        dataclasses.replace(TASKS["heat"], activation=halved, loss=Local),
        dataclasses.replace(TASKS["lidar"], activation=sigmoid_of, loss=lambda: Local()),
    ]
    made = trainer(tasks)
    made.save(tmp_path / "own.keras")
    with pytest.raises(TypeError, match="Could not locate"):
        keras.saving.load_model(tmp_path / "own.keras")
    recwarn.clear()
    mine = {"Local": Local, "sigmoid_of": sigmoid_of}
    again = keras.saving.load_model(tmp_path / "own.keras", custom_objects=mine)
    assert not [w for w in recwarn if "not saved" in str(w.message)]
    assert again.tasks[0].activation is halved
    assert again.tasks[1].activation is sigmoid_of
    assert isinstance(again.tasks[0].loss(), Local)
    assert isinstance(again.tasks[1].loss(), Local)  # also now, outside of the call that loaded it
    data = OwnData(["heat", "lidar"])
    again.fit(data.train(), verbose=0)


def test_a_class_of_a_script_is_found_where_it_is_imported(tmp_path):
    """As `__main__`, whose classes no package registers."""
    module = types.ModuleType("my_script")
    sys.modules["my_script"] = module
    try:
        body = {"__module__": "my_script", "masked": lambda self, t, p, w: tf.reduce_sum(p) * 0.0}
        module.Mine = type("Mine", (mtl.losses.DenseLoss,), body)
        made = trainer([dataclasses.replace(TASKS["heat"], loss=module.Mine)])
        made.save(tmp_path / "own.keras")
        again = keras.saving.load_model(tmp_path / "own.keras")
        assert again.tasks[0].loss is module.Mine
    finally:
        del sys.modules["my_script"]
    with pytest.raises(TypeError, match=r"loss my_script\.Mine of task 'heat': import the module"):
        keras.saving.load_model(tmp_path / "own.keras")


@pytest.mark.parametrize(
    "activation",
    [
        functools.partial(tf.clip_by_value, clip_value_min=0, clip_value_max=9),
        lambda raw: raw,
        keras.layers.ReLU(),
    ],
    ids=["partial", "lambda", "layer"],
)
def test_activations_without_a_name_are_told_of_and_training_goes_on(activation, tmp_path):
    data = OwnData(["heat"])
    made = trainer([dataclasses.replace(TASKS["heat"], activation=activation)])
    made.save(tmp_path / "own.keras")
    with pytest.warns(UserWarning, match=r"activation .* of task 'heat' was not saved"):
        again = keras.saving.load_model(tmp_path / "own.keras")
    again.fit(data.train(), verbose=0)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(functools.partial(Cauchy, 3.0), 3.0), (functools.partial(Cauchy, scale=2.0), 2.0)],
)
def test_arguments_of_a_loss_survive(loss, expected, tmp_path):
    trainer([dataclasses.replace(TASKS["heat"], loss=loss)]).save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    assert again.tasks[0].loss().scale == expected


class Steps(mtl.losses.DenseLoss):
    """Keeps its argument in another form: saving cannot find it."""

    def __init__(self, edges):
        super().__init__()
        self._edges = np.array(edges)

    def masked(self, y_true, y_pred, weights):
        return tf.reduce_sum((y_true - y_pred)[..., 0] * weights)


def test_an_argument_that_would_be_lost_stops_saving(tmp_path):
    made = trainer([dataclasses.replace(TASKS["heat"], loss=lambda: Steps([1.0, 2.0]))])
    with pytest.raises(ValueError, match=r"get_config of Steps lacks \['edges'\]: add them"):
        made.save(tmp_path / "own.keras")


def test_task_of_one_class_of_metrics_of_ones_own(tmp_path):
    class Share(keras.metrics.Metric):
        def __init__(self, limit, name="share"):
            super().__init__(name=name)
            self.limit = limit
            self.hits = self.add_weight(name="hits", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            near = tf.cast(tf.abs(y_true - y_pred) < self.limit, tf.float32)[..., 0]
            self.hits.assign_add(tf.reduce_sum(near * sample_weight))

        def result(self):
            return self.hits

    task = dataclasses.replace(TASKS["heat"], metrics=lambda c: [Share(0.25)], main_metric="share")
    made = trainer([task])
    made.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras", custom_objects={"Share": Share})
    data = OwnData(["heat"])
    assert again.tasks[0].metrics(1)[0].limit == 0.25
    ours, theirs = (t.evaluate(data.val(), verbose=0, return_dict=True) for t in (made, again))
    assert ours == theirs


@pytest.mark.filterwarnings("ignore:Task .* had the weight 0")
def test_names_with_slashes_and_one_task_within_another():
    """Outputs `depth/...` are deep supervision of `depth`, unless a task has that name."""
    image = keras.Input((16, 24, 3))
    names = ("depth", "depth/initial", "depth/left", "depth/left/initial", "a b.c-ü")
    outputs = {n: keras.layers.Conv2D(1, 1, name=f"o{i}")(image) for i, n in enumerate(names)}
    tasks = [
        dataclasses.replace(mtl.TASKS["depth"], name=name)
        for name in ("depth", "depth/left", "a b.c-ü")
    ]
    made = mtl.MultiTaskTrainer(keras.Model(image, outputs), tasks)
    made.compile("sgd", loss_weights={"depth/left": 0.0, "a b.c-ü": 0.0})
    data = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype(np.float32)
    targets = {task.name: np.ones((2, 16, 24, 1), np.float32) for task in tasks}
    before = {v.path: v.numpy() for v in made.trainable_variables}
    made.fit(data, targets, verbose=0)
    moved = {
        v.path.split("/")[0]
        for v in made.trainable_variables
        if np.any(v.numpy() != before[v.path])
    }
    assert moved == {"o0", "o1"}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # as plain Keras says
def test_a_model_with_more_outputs_than_tasks():
    model = network([TASKS["heat"], TASKS["lidar"], TASKS["scene"]])
    made = mtl.MultiTaskTrainer(model, [TASKS["lidar"]])
    made.compile("sgd", balancing="sum")
    data = OwnData(["lidar"])
    made.fit(data.train(), verbose=0)
    judged = [TASKS["lidar"], TASKS["road"]]
    assert set(mtl.evaluation.evaluate(made, data.val(), judged)) == {"lidar"}
    assert set(made.predict(data.val(), verbose=0)) == {"heat", "lidar", "scene"}


def test_every_kind_is_among_the_tasks():
    assert {kind.value for kind in KINDS.values()} == {
        "classes",
        "binary",
        "boundary",
        "direction",
        "distance",
        "values",
    }
