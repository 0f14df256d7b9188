"""Training before the last resizing: the same losses and steps as on the model's own outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.training.step.before_upsampling import before_upsampling
from tests.helpers.inputs import TASKS, batch, small_model

SHAPE = (16, 24, 3)


def model_of_tasks():
    keras.utils.set_random_seed(1)
    return small_model(TASKS, *SHAPE[:2])


def losses():
    return {task: mtl.TASKS[task].loss() for task in TASKS}


def test_the_view_has_small_outputs_and_the_models_variables():
    model = model_of_tasks()
    view = before_upsampling(model, losses())
    assert {name: y.shape for name, y in view.output.items()} == {
        task: (None, 8, 12, channels) for task, channels in TASKS.items()
    }
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}
    assert model.output["semseg"].shape == (None, 16, 24, 5)


def test_outputs_of_other_losses_stay():
    model = model_of_tasks()
    view = before_upsampling(model, {**losses(), "depth": keras.losses.MeanSquaredError()})
    assert view.output["depth"] is model.output["depth"]
    assert view.output["edges"].shape == (None, 8, 12, 1)


def test_a_model_that_does_not_end_in_resizing_is_its_own_view():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, {"depth": keras.layers.Conv2D(1, 1)(image)})
    assert before_upsampling(model, losses()) is model


@pytest.mark.parametrize("native", ["on", "off"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_losses_and_gradients_are_those_of_the_full_outputs(policy, native, monkeypatch):
    if native == "on" and not mtl.ops.native_status().available:
        pytest.skip(mtl.ops.native_status().reason)
    monkeypatch.setenv("MTL_TF_NATIVE", native)
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of_tasks()
    finally:
        keras.config.set_dtype_policy("float32")
    image, targets, masks = batch(TASKS, 2, *SHAPE[:2])
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        expected = {t: losses()[t](targets[t], outputs[t], masks[t]) for t in TASKS}
        total = tf.add_n(list(expected.values()))
    gradients = tape.gradient(total, [v.value for v in model.trainable_variables])
    start = [v.numpy() for v in model.trainable_variables]
    trainer = mtl.MultiTaskTrainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(1.0), metrics={task: [] for task in TASKS})
    logs = trainer.train_step((image, targets, masks))
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for task in TASKS:
        np.testing.assert_allclose(logs[f"{task}_loss"], expected[task], rtol=tolerance)
    scale = max(float(tf.reduce_max(tf.abs(g))) for g in gradients)
    for variable, before, gradient in zip(model.trainable_variables, start, gradients, strict=True):
        step = before - variable.numpy()
        np.testing.assert_allclose(step, gradient, rtol=10 * tolerance, atol=tolerance * scale)


@pytest.mark.skipif(not mtl.ops.native_status().available, reason="native")
def test_the_step_stores_no_enlarged_logits():
    model = model_of_tasks()
    trainer = mtl.MultiTaskTrainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(), metrics={task: [] for task in TASKS})
    step = tf.function(trainer.train_step, autograph=False)
    graph = step.get_concrete_function(batch(TASKS, 2, *SHAPE[:2])).graph
    shapes = {tuple(y.shape) for op in graph.get_operations() for y in op.outputs if y.shape.rank}
    assert (2, 8, 12, 5) in shapes
    assert (2, 16, 24, 5) not in shapes  # semseg
    assert (2, 16, 24, 7) not in shapes  # human parts


def test_metrics_see_full_resolution():
    model = model_of_tasks()
    trainer = mtl.MultiTaskTrainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.0))
    data = batch(TASKS, 2, *SHAPE[:2])
    logs = trainer.train_step(data)
    trainer.reset_metrics()
    metric = mtl.TASKS["depth"].metrics(1)[0]
    outputs = model(data[0], training=True)
    metric.update_state(data[1]["depth"], outputs["depth"], data[2]["depth"])
    value = metric.result()
    expected = value[mtl.TASKS["depth"].main_metric] if isinstance(value, dict) else value
    np.testing.assert_allclose(logs["depth_rmse"], expected, rtol=1e-4)
