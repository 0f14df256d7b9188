"""A saved trainer goes on as if nothing had happened: every method, option and optimizer."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, tiny_batch, tiny_model
from tests.helpers.slow import slow_but

NAMES = ("depth", "normals")
MADE = {task: TASKS[task] for task in NAMES}
NO_METRICS = {task: [] for task in NAMES}


def trainer(model=None, optimizer=None, tasks=MADE, **options):
    keras.utils.set_random_seed(0)
    made = mtl.MultiTaskTrainer(model() if model else tiny_model(NAMES), tasks)
    optimizer = optimizer() if callable(optimizer) else optimizer
    options.setdefault("metrics", NO_METRICS)
    options.setdefault("run_eagerly", True)  # so small a network is traced longer than run
    made.compile(optimizer or keras.optimizers.Adam(1e-2), **options)
    return made


def fit(made, epochs=1):
    image, targets, masks = tiny_batch()
    masks["depth"][:2, :4] = 0
    return made.fit(
        image, targets, sample_weight=masks, batch_size=2, shuffle=False, epochs=epochs, verbose=0
    ).history


def values(variables):
    return [np.asarray(variable.numpy(), np.float64) for variable in variables]


def assert_goes_on(made, path, load=keras.saving.load_model):
    """Bit for bit: the loaded trainer takes the same steps in the same graph."""
    fit(made, epochs=2)
    made.save(path)
    keras.utils.set_random_seed(7)  # nothing may hang on the global generator
    again = load(path)
    ours, theirs = fit(made, epochs=2), fit(again, epochs=2)
    assert ours == theirs
    for mine, other in ((made, again), (made.optimizer, again.optimizer)):
        for a, b in zip(values(mine.variables), values(other.variables), strict=True):
            np.testing.assert_array_equal(a, b)
    return again


@pytest.mark.parametrize(
    "balancing",
    slow_but(("famo", "gradnorm", "graddrop", "rlw", "uncertainty"), sorted(mtl.balancing.TABLE)),
)
def test_every_method_goes_on(balancing, tmp_path):
    assert_goes_on(trainer(balancing=balancing), tmp_path / "a.keras")


@pytest.mark.parametrize(
    "balancing", slow_but(("gradvac", "graddrop"), ["gradvac", "graddrop", "config", "upgrad"])
)
def test_at_feature_level_too(balancing, tmp_path):
    assert_goes_on(trainer(balancing=balancing, level="features"), tmp_path / "a.keras")


METHODS = {
    "DWA": lambda: mtl.balancing.DWA(temperature=1.0),
    "RLW": lambda: mtl.balancing.RLW("dirichlet", seed=3),
    "CAGrad": lambda: mtl.balancing.CAGrad(c=0.2),
    "GradDrop": lambda: mtl.balancing.GradDrop(leak=0.5),
    "STCH": lambda: mtl.balancing.STCH(warmup_epochs=1),
    "GradNorm": lambda: mtl.balancing.GradNorm(alpha=0.5),
}


@pytest.mark.parametrize("name", slow_but(("DWA", "GradDrop"), METHODS))
def test_arguments_of_a_method_survive(name, tmp_path):
    again = assert_goes_on(trainer(balancing=METHODS[name]()), tmp_path / "a.keras")
    config = again.balancing.get_config()
    assert config | {"name": None} == METHODS[name]().get_config() | {"name": None}


def dropout_model():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.3)(x))
    return keras.Model(
        image, {task: keras.layers.Conv2D(c, 1, name=task)(x) for task, c in MADE.items()}
    )


def slow_variables():
    model = tiny_model(NAMES)
    for variable in model.get_layer("shared").trainable_variables:
        variable.learning_rate_multiplier = 0.1
    return model


OPTIONS = {
    "a loss by name": {"loss": {"depth": "mae"}},
    "Huber with delta": {"loss": {"depth": keras.losses.Huber(0.3)}},
    "LogCosh": {"loss": {"depth": keras.losses.LogCosh(), "normals": mtl.losses.L1()}},
    "metrics": {
        "metrics": {
            "depth": ["mae", keras.metrics.RootMeanSquaredError()],
            "normals": keras.metrics.CosineSimilarity(name="near"),
        }
    },
    "the tasks' metrics": {"metrics": None},
    "loss weights": {"loss_weights": {"depth": np.float32(2), "normals": 3}},
    "update every": {"update_every": {"depth": 3}},
    "orthogonal": {"gradient_penalties": [mtl.training.OrthogonalGradients(0.5)]},
    "adversarial": {"gradient_penalties": [mtl.training.AdversarialGradients(0.5, ramp_steps=9)]},
    "weight decay": {"weight_decay": 1e-2},
    "Poly": {"optimizer": lambda: keras.optimizers.SGD(mtl.training.Poly(0.1, 4, 2), 0.9)},
    "cosine": {
        "optimizer": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.1, 20))
    },
    "an optimizer by name": {"optimizer": lambda: "rmsprop"},
    "EMA": {"optimizer": lambda: keras.optimizers.SGD(0.1, use_ema=True)},
    "accumulation": {"optimizer": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)},
    "clipping": {"optimizer": lambda: keras.optimizers.Adam(0.1, global_clipnorm=0.5)},
    "parts": {"micro_batches": 2, "balancing": "upgrad"},
    "own variables": {"weight_own_variables": True, "balancing": "mgda"},
    "diagnostics": {"diagnostics": True},
    "dropout": {"model": dropout_model},
    "multiplier": {"model": slow_variables},
    "in a graph": {"run_eagerly": False},
    "several steps at once": {"steps_per_execution": 2, "run_eagerly": False},
    "initial weight": {"initial_weight": 0.5},
    "loss scale": {
        "optimizer": lambda: keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    },
}
FAST = (
    "Huber with delta",
    "metrics",
    "update every",
    "adversarial",
    "Poly",
    "dropout",
    "multiplier",
    "an optimizer by name",
    "in a graph",
)


@pytest.mark.parametrize("name", slow_but(FAST, OPTIONS))
def test_every_option_goes_on(name, tmp_path):
    assert_goes_on(trainer(**OPTIONS[name]), tmp_path / "a.keras")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_goes_on(policy, tmp_path):
    """Though it is loaded where the policy is another: layers and the loss scale are saved."""
    keras.mixed_precision.set_global_policy(policy)
    try:
        made = trainer(balancing="uncertainty")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    again = assert_goes_on(made, tmp_path / "a.keras")
    assert type(again.optimizer) is type(made.optimizer)


def test_a_learning_rate_that_was_changed_goes_on(tmp_path):
    made = trainer(optimizer="sgd")
    made.optimizer.learning_rate = 0.003
    again = assert_goes_on(made, tmp_path / "a.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(0.003)


def test_the_case_of_model_checkpoint(tmp_path):
    """Comes back compiled, iterations go on; it was 6, two more steps make 8."""
    made = trainer()
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    image, targets, masks = tiny_batch()
    arrays = {"sample_weight": masks, "batch_size": 2, "verbose": 0}
    made.fit(image, targets, epochs=3, callbacks=checkpoint, **arrays)
    again = keras.saving.load_model(tmp_path / "3.keras")
    again.fit(image, targets, **arrays)
    assert (int(made.optimizer.iterations), int(again.optimizer.iterations)) == (6, 8)
    bare = keras.saving.load_model(tmp_path / "3.keras", compile=False)
    with pytest.raises(ValueError, match=r"compile\(\)"):
        bare.fit(image, targets, **arrays)
    with pytest.raises(ValueError, match=r"compile\(\)"):
        bare.evaluate(image, targets, verbose=0)
    np.testing.assert_array_equal(
        bare.predict(image, verbose=0)["depth"],
        keras.saving.load_model(tmp_path / "3.keras").predict(image, verbose=0)["depth"],
    )
    bare.compile("adam")
    bare.fit(image, targets, **arrays)


def test_a_trainer_that_never_trained_and_one_that_was_never_compiled(tmp_path):
    made = trainer(balancing="gradnorm")
    made.save(tmp_path / "a.keras")
    assert fit(keras.saving.load_model(tmp_path / "a.keras")) == fit(made)
    bare = mtl.MultiTaskTrainer(tiny_model(NAMES), MADE)
    bare.save(tmp_path / "b.keras")
    again = keras.saving.load_model(tmp_path / "b.keras")
    with pytest.raises(ValueError, match=r"compile\(\)"):
        fit(again)


def test_a_frozen_network_comes_back(tmp_path):
    model = tiny_model(NAMES)
    model.get_layer("shared").trainable = False
    again = assert_goes_on(trainer(lambda: model), tmp_path / "a.keras")
    assert not again.network.get_layer("shared").trainable


def rewritten(path, change):
    """A `.keras` file with another configuration, as an early version wrote it."""
    out = path.with_name("early.keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config)
            new.writestr(name, data)
    return out


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_files_of_the_early_version_still_load(tmp_path):
    made = trainer()
    fit(made)
    made.save(tmp_path / "a.keras")

    def change(config):
        config["config"]["tasks"] = dict(MADE)
        config.pop("compile_config")

    again = keras.saving.load_model(rewritten(tmp_path / "a.keras", change))
    assert [(task.name, task.channels) for task in again.tasks] == list(MADE.items())
    for a, b in zip(values(made.network.variables), values(again.network.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    again.compile("adam")
    fit(again)


# === What users make themselves ===


class Focal(keras.losses.Loss):
    """A loss with an argument and no `get_config`, as most are written."""

    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def call(self, y_true, y_pred):
        return tf.abs(y_true - y_pred) ** self.gamma


class Worst(mtl.balancing.Scalarizer):
    def __init__(self, share=0.5):
        super().__init__()
        self.share = share

    def compute_scalar(self, losses, is_present, training):
        return self.share * tf.reduce_max(losses) + tf.reduce_sum(losses)


def my_loss(y_true, y_pred):
    return tf.abs(y_true - y_pred)


def test_own_classes_keep_their_arguments(tmp_path):
    made = trainer(loss={"depth": Focal(1.5)}, balancing=Worst(2.0))
    again = assert_goes_on(made, tmp_path / "a.keras")
    assert again.balancing.share == 2.0


def test_own_functions_come_back_with_custom_objects(tmp_path):
    made = trainer(loss={"depth": my_loss}, metrics={"depth": [my_loss], "normals": []})
    load = lambda path: keras.saving.load_model(path, custom_objects={"my_loss": my_loss})  # noqa: E731
    assert_goes_on(made, tmp_path / "a.keras", load)
    with pytest.raises(TypeError, match="Could not locate function 'my_loss'"):
        keras.saving.load_model(tmp_path / "a.keras")
    keras.saving.load_model(tmp_path / "a.keras", compile=False)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_is_not_run_from_a_file(tmp_path):
    made = trainer(loss={"depth": lambda y_true, y_pred: tf.abs(y_true - y_pred)})
    made.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="safe_mode"):
        keras.saving.load_model(tmp_path / "a.keras")


class Hidden(mtl.balancing.Scalarizer):
    def __init__(self, share):
        super().__init__()
        self._half = share / 2

    def compute_scalar(self, losses, is_present, training):
        return self._half * tf.reduce_sum(losses)


def test_what_would_be_lost_is_told_when_it_is_saved(tmp_path):
    with pytest.raises(ValueError, match=r"get_config of Hidden lacks \['share'\]"):
        trainer(balancing=Hidden(1.0)).save(tmp_path / "a.keras")


class Network(keras.Model):
    """Subclassed, with a configuration."""

    def __init__(self, channels=4, **options):
        super().__init__(**options)
        self.channels = channels
        self.shared = keras.layers.Conv2D(channels, 3, padding="same", activation="relu")
        self.depth = keras.layers.Conv2D(1, 1)
        self.normals = keras.layers.Conv2D(3, 1)

    def call(self, image):
        x = self.shared(image)
        return {"depth": self.depth(x), "normals": self.normals(x)}

    def get_config(self):
        return {"channels": self.channels}


def test_a_subclassed_network_goes_on(tmp_path):
    def model():
        network = Network(6)
        network(np.zeros((1, 8, 8, 3), np.float32))
        return network

    again = assert_goes_on(trainer(model, balancing="upgrad"), tmp_path / "a.keras")
    assert again.network.channels == 6


def test_weights_alone_hold_the_state_of_random_generators(tmp_path):
    made = trainer(dropout_model, balancing="rlw")
    fit(made)
    made.save_weights(tmp_path / "a.weights.h5")
    keras.utils.set_random_seed(5)
    again = trainer(dropout_model, balancing="rlw")
    fit(again)
    again.load_weights(tmp_path / "a.weights.h5")
    assert fit(made) == fit(again)
