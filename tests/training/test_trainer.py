"""The training step under `model.fit`: gradients, weights, absent tasks, logs, resume, saving."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, dataset, small_model, tiny_batch, tiny_trainer

TASKS = {"semseg": 5, "depth": 1, "edges": 1}
NO_METRICS = {task: [] for task in TASKS}  # they take long to compile
METHODS = sorted(mtl.balancing.TABLE)
OF_EACH_KIND = ("fixed_weights", "uncertainty", "upgrad", "graddrop")


def trainer(tasks=TASKS, optimizer=None, **kwargs):
    keras.utils.set_random_seed(0)
    made = mtl.MultiTaskTrainer(small_model(tasks), tasks)
    made.compile(optimizer or keras.optimizers.Adam(1e-2), **kwargs)
    return made


@pytest.mark.parametrize("balancing", METHODS)
def test_every_trainable_variable_moves(balancing):
    made = tiny_trainer(balancing, optimizer=keras.optimizers.Adam(1e-2))
    before = [v.numpy() for v in made.trainable_variables]
    for seed in range(2):  # some learned weights stand still in the first step
        logs = made.train_step(tiny_batch(seed=seed))
    assert np.isfinite(logs["loss"])
    for old, variable in zip(before, made.trainable_variables, strict=True):
        assert np.any(old != variable.numpy()), variable.path


@pytest.mark.parametrize("balancing", OF_EACH_KIND)
def test_every_trainable_variable_moves_and_the_loss_falls(balancing):
    made = trainer(balancing=balancing, metrics=NO_METRICS)
    before = [v.numpy() for v in made.trainable_variables]
    history = made.fit(dataset(), epochs=4, verbose=0).history
    for old, variable in zip(before, made.trainable_variables, strict=True):
        assert np.any(old != variable.numpy()), variable.path
    assert history["semseg_loss"][-1] < history["semseg_loss"][0]


def test_update_equals_the_gradient_of_the_weighted_sum():
    weights = {"semseg": 2.0, "depth": 0.5}
    tasks = {"semseg": 5, "depth": 1}
    made = trainer(tasks, keras.optimizers.SGD(0.1), loss_weights=weights)
    image, targets, masks = batch(tasks)
    before = [v.numpy() for v in made.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = made.network(image, training=True)
        losses = {t: mtl.TASKS[t].loss()(targets[t], outputs[t], masks[t]) for t in tasks}
        total = tf.add_n([weights[t] * losses[t] for t in tasks])
    gradients = tape.gradient(total, made.trainable_variables)
    logs = made.train_step((image, targets, masks))
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
    for task in tasks:
        np.testing.assert_allclose(logs[f"{task}_loss"], losses[task], rtol=1e-5)
        np.testing.assert_allclose(logs[f"{task}_weight"], weights[task], rtol=1e-6)
    for old, gradient, variable in zip(before, gradients, made.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, old - 0.1 * gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("balancing", METHODS)
def test_a_task_without_labels_takes_no_part(balancing):
    """The step is that of the other tasks, whatever the targets without a label hold."""
    three, two = ("depth", "saliency", "normals"), ("depth", "saliency")
    image, targets, masks = tiny_batch(three)
    masks["normals"] *= 0
    targets["normals"] *= np.nan
    options = {"seed": 1} if "seed" in method_arguments(balancing) else {}
    makes = mtl.balancing.TABLE[balancing].cls
    with_absent = tiny_trainer(makes(**options), three)
    before = {v.path: v.numpy() for v in with_absent.trainable_variables}
    logs = with_absent.train_step((image, targets, masks))
    alone = tiny_trainer(makes(**options), two)
    for layer in alone.network.layers:
        same = with_absent.network.get_layer(layer.name) if layer.weights else layer
        layer.set_weights([before[v.path] for v in same.weights])
    alone.train_step((image, targets, masks))
    assert np.isfinite(logs["loss"])
    assert (logs["normals_loss"], logs["not_finite"]) == (0.0, 0.0)
    expected = {v.path: v.numpy() for v in alone.network.trainable_variables}
    for variable in with_absent.network.trainable_variables:
        value = variable.numpy()
        if "normals" in variable.path:
            np.testing.assert_array_equal(value, before[variable.path])
        elif balancing not in ("rlw", "pcgrad", "gradvac", "graddrop"):  # other random numbers
            np.testing.assert_allclose(value, expected[variable.path], rtol=1e-4, atol=1e-6)


def method_arguments(name):
    return inspect.signature(mtl.balancing.TABLE[name].cls.__init__).parameters


@pytest.mark.parametrize("balancing", ["upgrad", "nash_mtl", "gradnorm", "uncertainty"])
def test_a_batch_without_any_label_changes_nothing(balancing):
    made = tiny_trainer(balancing)
    image, targets, masks = tiny_batch()
    before = [v.numpy() for v in made.trainable_variables]
    logs = made.train_step((image, targets, {t: 0 * mask for t, mask in masks.items()}))
    assert (logs["loss"], logs["not_finite"]) == (0.0, 0.0)
    for old, variable in zip(before, made.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


@pytest.mark.parametrize("balancing", METHODS)
def test_one_task_alone_is_trained(balancing):
    made = tiny_trainer(balancing, ("depth",), optimizer=keras.optimizers.Adam(1e-2))
    before = [v.numpy() for v in made.network.trainable_variables]
    logs = made.train_step(tiny_batch(("depth",)))
    assert np.isfinite(logs["loss"])
    for old, variable in zip(before, made.network.trainable_variables, strict=True):
        assert np.any(old != variable.numpy()), variable.path


@pytest.mark.slow
@pytest.mark.parametrize("balancing", METHODS)
def test_a_hundred_steps_on_rendered_rooms_make_the_losses_fall(balancing):
    tasks = ("semseg", "depth", "normals")
    data = mtl.data.RenderedRooms(
        tasks, input_shape=(64, 64, 3), train_size=40, val_size=4, batch_size=4, cache=True
    )
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3))
    stages = [mtl.layers.conv_block(image, 16, 3, 2)]
    for channels in (32, 64):
        stages.append(mtl.layers.conv_block(stages[-1], channels, 3, 2))
    backbone = keras.Model(image, stages)
    model = mtl.architectures.SharedTrunk(backbone, data.tasks, (64, 64, 3), head="conv")
    made = mtl.MultiTaskTrainer(model, data.tasks)
    method = mtl.balancing.STCH(warmup_epochs=1) if balancing == "stch" else balancing
    made.compile(
        keras.optimizers.Adam(1e-3), balancing=method, metrics={task: [] for task in tasks}
    )
    history = made.fit(data.train(), epochs=10, verbose=0).history
    assert history["not_finite"] == [0.0] * 10
    for task in tasks:
        values = history[f"{task}_loss"]
        assert values[-1] < values[0], (task, values)


def test_logs_have_loss_weight_and_main_metric_of_each_task():
    tasks = {"semseg": 5, "depth": 1}
    made = trainer(tasks, balancing="uncertainty")
    data = dataset(tasks)
    history = made.fit(data, validation_data=data, verbose=0).history
    for task in tasks:
        metric = mtl.TASKS[task].main_metric
        assert {f"{task}_loss", f"{task}_weight", f"{task}_{metric}"} <= set(history)
        assert {f"val_{task}_loss", f"val_{task}_{metric}"} <= set(history)
    np.testing.assert_allclose(history["depth_weight"], 0.5 * np.exp(0.5), rtol=0.05)


def test_evaluate_agrees_with_the_losses_and_metrics_alone():
    made = trainer()
    image, targets, masks = batch(size=4)
    logs = made.evaluate(dataset(size=4), return_dict=True, verbose=0)
    outputs = made.predict(image, verbose=0)
    for task in TASKS:
        loss = mtl.TASKS[task].loss()(targets[task], outputs[task], masks[task])
        np.testing.assert_allclose(logs[f"{task}_loss"], loss, rtol=1e-4)
        metric = mtl.TASKS[task].metrics(TASKS[task])[0]
        metric.update_state(targets[task], outputs[task], masks[task])
        main = mtl.TASKS[task].main_metric
        np.testing.assert_allclose(logs[f"{task}_{main}"], metric.result()[main], rtol=1e-4)


def test_deeply_supervised_outputs_add_to_their_tasks_loss():
    image = keras.Input((32, 64, 3))
    x = mtl.layers.conv_block(image, 4, 3, 4)
    coarse = mtl.layers.conv(x, 1)
    outputs = {"depth": mtl.layers.resize_to(coarse, 32, 64), "depth/initial": coarse}
    made = mtl.MultiTaskTrainer(keras.Model(image, outputs), {"depth": 1})
    made.compile("sgd")
    logs = made.evaluate(dataset({"depth": 1}), return_dict=True, verbose=0)
    single = mtl.MultiTaskTrainer(keras.Model(image, {"depth": outputs["depth"]}), {"depth": 1})
    single.compile("sgd")
    alone = single.evaluate(dataset({"depth": 1}), return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["depth_loss"], 2 * alone["depth_loss"], rtol=1e-5)
    np.testing.assert_allclose(logs["depth_rmse"], alone["depth_rmse"], rtol=1e-5)
    made.compile("sgd", initial_weight=0.25)
    logs = made.evaluate(dataset({"depth": 1}), return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["depth_loss"], 1.25 * alone["depth_loss"], rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], logs["depth_loss"], rtol=1e-5)


def test_layer_losses_of_the_model_are_minimised_too():
    image = keras.Input((32, 64, 3))
    kernel = keras.layers.Conv2D(1, 1, kernel_regularizer=keras.regularizers.L2(1.0))
    model = keras.Model(image, {"depth": kernel(image)})
    made = mtl.MultiTaskTrainer(model, {"depth": 1})
    made.compile(keras.optimizers.SGD(0.0))
    logs = made.fit(dataset({"depth": 1}), verbose=0).history
    penalty = np.sum(kernel.kernel.numpy() ** 2)
    np.testing.assert_allclose(logs["loss"][0] - logs["depth_loss"][0], penalty, rtol=1e-4)


def test_mixed_precision_trains_with_float32_outputs():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        made = trainer({"depth": 1}, metrics={"depth": []})
        history = made.fit(dataset({"depth": 1}, size=2), verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert isinstance(made.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert all(output.dtype == "float32" for output in made.network.output.values())
    assert np.isfinite(history["loss"]).all()
    np.testing.assert_allclose(history["depth_weight"], 1.0, rtol=1e-3)


def test_compiling_again_replaces_the_method_and_its_variables():
    made = tiny_trainer("uncertainty")
    number = len(made.trainable_variables)
    image, targets, masks = tiny_batch()
    made.fit(image, targets, sample_weight=masks, verbose=0)
    made.compile("sgd", balancing="fixed_weights", metrics={t: [] for t in targets})
    assert len(made.trainable_variables) == number - 1
    made.fit(image, targets, sample_weight=masks, verbose=0)


def test_loss_and_metrics_may_be_given_by_task():
    tasks = {"depth": 1, "edges": 1}
    metrics = {"depth": ["mae"], "edges": []}
    made = trainer(tasks, loss={"depth": "mean_squared_error"}, metrics=metrics)
    history = made.fit(dataset(tasks), verbose=0).history
    assert "depth_mean_absolute_error" in history
    assert "depth_rmse" not in history
    assert "edges_f" not in history


def test_uncertainty_is_excluded_from_weight_decay():
    def log_variances(weight_decay):
        optimizer = keras.optimizers.SGD(0.1, weight_decay=weight_decay)
        made = trainer(balancing="uncertainty", optimizer=optimizer)
        made.train_step(batch())
        return made.balancing.log_variances.numpy()

    np.testing.assert_array_equal(log_variances(0.5), log_variances(None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: mtl.MultiTaskTrainer(small_model({"depth": 1}), {"edges": 1}), "no output"),
        (lambda: mtl.MultiTaskTrainer(small_model({"semseg": 5}), {"semseg": 6}), "channels"),
        (lambda: mtl.MultiTaskTrainer(small_model(), {"colour": 1}), "Unknown task"),
        (lambda: trainer(balancing="nothing"), "balancing must be"),
        (lambda: trainer(loss_weights={"deth": 1.0}), "deth"),
        (lambda: trainer(metrics=["mae"]), "dictionary by task"),
        (lambda: trainer().train_step((batch()[0], batch({"depth": 1})[1], None)), "semseg"),
    ],
)
def test_bad_arguments_are_told(change, message):
    with pytest.raises(ValueError, match=message):
        change()


def test_the_trainer_saves_and_reloads_its_model(tmp_path):
    made = trainer({"depth": 1})
    made.save(tmp_path / "trainer.keras")
    again = keras.saving.load_model(tmp_path / "trainer.keras")
    image = batch()[0]
    np.testing.assert_array_equal(made(image)["depth"], again(image)["depth"])


@pytest.mark.parametrize("loss", ["mse", "MeanSquaredError", keras.losses.MeanSquaredError()])
def test_keras_losses_are_means_over_valid_pixels(loss):
    made = trainer({"depth": 1}, loss={"depth": loss})
    image, targets, masks = batch({"depth": 1})
    masks["depth"][:, :16] = 0
    targets["depth"][:, :16] = np.nan
    outputs = made.predict(image, verbose=0)["depth"]
    logs = made.test_step((image, targets, masks))
    expected = np.mean((outputs - targets["depth"])[:, 16:].astype(np.float64) ** 2)
    np.testing.assert_allclose(logs["depth_loss"], expected, rtol=1e-4)


def test_evaluates_at_the_size_of_larger_targets():
    made = trainer({"depth": 1})
    image, _, _ = batch({"depth": 1})
    _, targets, masks = batch({"depth": 1}, height=64, width=128)
    larger = [(image, targets, masks)]
    results = mtl.evaluation.evaluate(made, larger, {"depth": 1})["depth"]
    logs = made.test_step(larger[0])
    np.testing.assert_allclose(logs["depth_rmse"], results["rmse"], rtol=1e-5)
