"""What a step does beside balancing: parts of a batch, precision, faults, bad options."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, flat_variables, tiny_batch, tiny_trainer

THREE = ("depth", "normals", "saliency")


def uneven(data):
    """Different numbers of valid pixels in the two halves of the batch."""
    image, targets, masks = data
    for i, mask in enumerate(masks.values()):
        mask[0, : 2 * i + 1] = 0
    return image, targets, masks


@pytest.mark.parametrize("name", ["upgrad", "graddrop", "uncertainty", "geometric_mean"])
def test_micro_batches_do_the_step_of_the_whole_batch(name):
    data = uneven(tiny_batch())
    options = {"seed": 1} if name == "graddrop" else {}
    results = []
    for parts in (1, 2, 4):
        method = mtl.balancing.TABLE[name].cls(**options)
        made = tiny_trainer(method, micro_batches=parts)
        made.optimizer.build(made.trainable_variables)  # or it would be traced twice
        logs = tf.function(made.train_step, autograph=False)(data)
        results.append(np.append(flat_variables(made), [logs["loss"], logs["depth_loss"]]))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-4, atol=1e-6)


def test_micro_batches_must_divide_the_batch():
    with pytest.raises(ValueError, match="micro_batches=3"):
        tiny_trainer("upgrad", micro_batches=3).train_step(tiny_batch())
    with pytest.raises(ValueError, match="parameters"):
        tiny_trainer("upgrad", micro_batches=2, level="features")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("level", ["parameters", "features"])
@pytest.mark.parametrize("name", ["nash_mtl", "fairgrad"])
def test_mixed_precision_has_the_weights_of_float32(name, level, policy):
    """Methods whose weights depend on the scale of the gradients: loss scaling must not show."""
    tasks = ("depth", "edges", "saliency")  # normals of length 0 make their gradients rough
    data = tiny_batch(tasks)
    expected = tiny_trainer(name, tasks, level=level).train_step(data)
    keras.mixed_precision.set_global_policy(policy)
    try:
        optimizer = keras.optimizers.SGD(0.1)
        if policy == "mixed_float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=256)
        made = tiny_trainer(name, tasks, optimizer, level=level)
        before = flat_variables(made)
        logs = made.train_step(data)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for task in tasks:
        np.testing.assert_allclose(logs[f"{task}_weight"], expected[f"{task}_weight"], rtol=0.05)
    assert np.any(flat_variables(made) != before)


def test_an_overflow_lowers_the_loss_scale_and_changes_nothing():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        optimizer = keras.mixed_precision.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**40
        )
        made = tiny_trainer("gradnorm", optimizer=optimizer)
        before = flat_variables(made)
        logs = made.train_step(tiny_batch())
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(flat_variables(made), before)
    assert float(optimizer.dynamic_scale) == 2.0**39
    np.testing.assert_array_equal(made.balancing.task_weights, [1.0, 1.0])
    assert np.isfinite(logs["depth_loss"])


@pytest.mark.parametrize("level", ["parameters", "features"])
@pytest.mark.parametrize("name", ["upgrad", "gradnorm", "uncertainty", "graddrop"])
def test_a_task_with_an_infinite_loss_is_left_out_and_counted(name, level):
    kind = mtl.balancing.TABLE[name].kind
    if kind == "scalarizer" and level == "features":
        pytest.skip("a scalarizer has no level")
    image, targets, masks = tiny_batch(THREE)
    targets["depth"][0, 0, 0] = np.inf
    made = tiny_trainer(name, THREE, level=level)
    before = {v.path: v.numpy() for v in made.trainable_variables}
    logs = made.train_step((image, targets, masks))
    assert logs["not_finite"] == 1.0
    assert np.isfinite(logs["loss"])
    for variable in made.trainable_variables:
        assert np.all(np.isfinite(variable.numpy())), variable.path
        if "head_depth" in variable.path or kind == "scalarizer":
            np.testing.assert_array_equal(variable.numpy(), before[variable.path])
        elif "head" in variable.path:
            assert np.any(variable.numpy() != before[variable.path]), variable.path


def test_the_loss_is_nan_when_no_task_has_a_finite_one():
    image, targets, masks = tiny_batch()
    targets["depth"] *= np.inf
    targets["normals"] *= np.nan
    logs = tiny_trainer("upgrad").train_step((image, targets, masks))
    assert np.isnan(logs["loss"])
    assert logs["not_finite"] == 2.0


def test_trouble_is_told_once_for_each_kind():
    image, targets, masks = tiny_batch()
    targets["depth"][0, 0, 0] = np.inf
    made = tiny_trainer(mtl.balancing.FixedWeights([1.0, 0.0]))
    with pytest.warns(UserWarning) as told:
        made.fit(image, targets, sample_weight=masks, epochs=3, batch_size=2, verbose=0)
    messages = [str(w.message) for w in told if "appears once" in str(w.message)]
    assert len(messages) == 2
    assert "left out" in messages[0]
    assert "'normals'" in messages[1] or "'normals'" in messages[0]


def test_fallbacks_are_counted():
    """Opposite gradients: Nash-MTL has no solution."""
    image, targets, masks = tiny_batch(("depth",))
    tasks = {"depth": 1, "edges": 1}
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(1, 1)(x)
    negative = keras.layers.Lambda(lambda z: -z)
    outputs = {"depth": keras.layers.Identity()(y), "edges": negative(y)}
    made = mtl.MultiTaskTrainer(keras.Model(x, outputs), tasks)
    linear = {t: lambda target, prediction: prediction for t in tasks}
    made.compile("sgd", balancing="nash_mtl", loss=linear, metrics={t: [] for t in tasks})
    targets["edges"], masks["edges"] = targets["depth"] / 10, masks["depth"]
    with pytest.warns(UserWarning, match="NashMTL had no solution"):
        history = made.fit(image, targets, sample_weight=masks, verbose=0).history
    assert history["fallbacks"] == [1.0]


def test_optimizer_features_apply_to_the_direction():
    optimizer = keras.optimizers.SGD(
        0.1, weight_decay=0.1, global_clipnorm=1e-3, use_ema=True, ema_momentum=0.5
    )
    made = tiny_trainer("upgrad", optimizer=optimizer)
    before = flat_variables(made)
    made.train_step(tiny_batch())
    change = flat_variables(made) - before * (1 - 0.1 * 0.1)
    np.testing.assert_allclose(np.linalg.norm(change), 0.1 * 1e-3, rtol=1e-2)


def test_several_steps_in_one_execution():
    image, targets, masks = tiny_batch(size=8)
    results = []
    for steps in (1, 2):
        made = tiny_trainer("upgrad", steps_per_execution=steps)
        made.fit(image, targets, sample_weight=masks, batch_size=2, shuffle=False, verbose=0)
        results.append(flat_variables(made))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


def test_famo_looks_at_the_losses_after_the_update_and_leaves_no_trace():
    made = tiny_trainer("famo")
    image, targets, masks = tiny_batch()
    logs = made.train_step((image, targets, masks))
    logits = made.balancing.logits.numpy()
    before = np.array([logs["depth_loss"], logs["normals_loss"]], np.float64)
    outputs = made.network(image, training=True)
    after = [mtl.TASKS[t].loss()(targets[t], outputs[t], masks[t]) for t in ("depth", "normals")]
    fall = np.log(before + 1e-8) - np.log(np.array(after, np.float64) + 1e-8)
    gradient = 0.5 * (fall - fall.mean())
    np.testing.assert_allclose(logits, -0.025 * np.sign(gradient), rtol=1e-3)


# === Bad arguments ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"balancing": "upgrad", "level": "feature"}, "level must be"),
        ({"balancing": "uncertainty", "level": "features"}, "one backward"),
        ({"balancing": "graddrop", "weight_own_variables": True}, "aggregator has no weights"),
        ({"balancing": "upgrad", "micro_batches": 0}, "micro_batches"),
        ({"update_every": {"colour": 2}}, "update_every must be a dictionary"),
    ],
)
def test_options_that_do_not_fit_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_trainer(**arguments)


def test_features_need_something_shared():
    image = keras.Input((8, 8, 3))
    outputs = {t: keras.layers.Conv2D(TASKS[t], 1)(image) for t in ("depth", "normals")}
    made = mtl.MultiTaskTrainer(keras.Model(image, outputs), {"depth": 1, "normals": 3})
    with pytest.raises(ValueError, match="shared by two of the tasks"):
        made.compile("sgd", balancing="upgrad", level="features")
