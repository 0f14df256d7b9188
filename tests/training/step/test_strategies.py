"""The three updates against gradients taken one by one: parameters, features, heads, scales."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, tiny_batch, tiny_trainer

THREE = ("depth", "normals", "saliency")
GRADIENT_METHODS = [n for n, row in mtl.balancing.TABLE.items() if row.kind != "scalarizer"]
WEIGHTINGS = [n for n, row in mtl.balancing.TABLE.items() if row.kind == "weighting"]


def task_gradients(made, data, sources):
    """`{task: gradients}` of the model's losses, one tape for each task."""
    image, targets, masks = data
    found = {}
    for task in (t.name for t in made.tasks):
        with tf.GradientTape() as tape:
            features = made.network.get_layer("shared")(image)
            tape.watch(features)
            outputs = {
                t.name: made.network.get_layer(f"head_{t.name}")(features) for t in made.tasks
            }
            loss = mtl.TASKS[task].loss()(targets[task], outputs[task], masks[task])
        wanted = [features if isinstance(s, str) else s for s in sources]
        found[task] = tape.gradient(loss, wanted)
    return found


def flat(tensors):
    return np.concatenate([np.ravel(t).astype(np.float64) for t in tensors])


def values(made):
    return {v.path: v.numpy() for v in made.trainable_variables}


def shared_variables(made):
    layer = made.network.get_layer("shared")
    return [layer.kernel, layer.bias]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_step_on_parameters_is_the_weighted_sum_of_the_task_gradients(name):
    options = {"seed": 3} if name in ("pcgrad", "gradvac") else {}
    make = mtl.balancing.TABLE[name].cls
    made = tiny_trainer(make(**options), THREE)
    data = tiny_batch(THREE)
    shared = shared_variables(made)
    gradients = task_gradients(made, data, shared)
    jacobian = np.stack([flat(gradients[task]) for task in THREE])
    method = make(**options)
    weights = method(jacobian @ jacobian.T, losses=np.ones(3), training=True).numpy()
    before = flat(shared)
    own = {task: made.network.get_layer(f"head_{task}").kernel.numpy() for task in THREE}
    logs = made.train_step(data)
    np.testing.assert_allclose([logs[f"{t}_weight"] for t in THREE], weights, rtol=1e-4, atol=1e-5)
    expected = before - 0.1 * weights @ jacobian
    np.testing.assert_allclose(flat(shared), expected, rtol=1e-4, atol=1e-6)
    for task in THREE:  # heads are not weighted
        kernel = made.network.get_layer(f"head_{task}").kernel
        np.testing.assert_allclose(kernel, own[task] - 0.1 * own_gradient(task, data), atol=1e-6)


def own_gradient(task, data):
    """The gradient of a head's kernel at the initial weights."""
    made = tiny_trainer("sum", THREE)
    kernel = made.network.get_layer(f"head_{task}").kernel
    return task_gradients(made, data, [kernel])[task][0]


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_step_on_features_combines_their_gradients_and_goes_back_once(name):
    options = {"seed": 3} if name in ("pcgrad", "gradvac", "graddrop") else {}
    make = mtl.balancing.TABLE[name].cls
    made = tiny_trainer(make(**options), THREE, level="features")
    data = tiny_batch(THREE)
    shared = shared_variables(made)
    gradients = [task_gradients(made, data, ["features"])[task] for task in THREE]
    method = make(**options)
    if isinstance(method, mtl.balancing.Weighting):
        weights = method(mtl.ops.gramian(gradients), losses=np.ones(3), training=True)
        (direction,) = mtl.ops.weighted_sum(gradients, weights)
    else:
        (direction,), _ = method.compute_direction(gradients)
    with tf.GradientTape() as tape:
        features = made.network.get_layer("shared")(data[0])
    expected = tape.gradient(features, shared, output_gradients=direction)
    before = flat(shared)
    made.train_step(data)
    np.testing.assert_allclose(before - flat(shared), 0.1 * flat(expected), rtol=1e-3, atol=1e-6)


def test_a_step_on_parameters_with_an_aggregator():
    make = mtl.balancing.GradDrop
    made, data = tiny_trainer(make(seed=3), THREE), tiny_batch(THREE)
    shared = shared_variables(made)
    found = task_gradients(made, data, shared)
    directions, _ = make(seed=3).compute_direction([found[task] for task in THREE])
    before = flat(shared)
    logs = made.train_step(data)
    assert "depth_weight" not in logs
    np.testing.assert_allclose(before - flat(shared), 0.1 * flat(directions), rtol=1e-3, atol=1e-6)


def test_levels_agree_where_weights_do_not_depend_on_gradients():
    data = tiny_batch(THREE)
    results = []
    for level in ("parameters", "features"):
        made = tiny_trainer("mean", THREE, level=level)
        made.train_step(data)
        results.append(flat(made.trainable_variables))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["mgda", "upgrad", "nash_mtl"])
def test_levels_agree_for_an_isometric_trunk(name):
    """Features that are the shared variables themselves: the Gramians are equal."""

    class Offset(keras.layers.Layer):
        def build(self, shape):
            self.offset = self.add_weight(shape=shape[1:], initializer="zeros", name="offset")

        def call(self, x):
            return x + self.offset

    results = []
    for level in ("parameters", "features"):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        features = Offset()(image)
        heads = {t: keras.layers.Conv2D(TASKS[t], 1, name=f"h_{t}")(features) for t in THREE}
        made = mtl.MultiTaskTrainer(keras.Model(image, heads), {t: TASKS[t] for t in THREE})
        metrics = {t: [] for t in THREE}
        made.compile(keras.optimizers.SGD(1.0), balancing=name, level=level, metrics=metrics)
        made.train_step(tiny_batch(THREE, size=1))
        results.append(flat(made.trainable_variables))
    np.testing.assert_allclose(*results, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["mgda", "config"])
def test_own_variables_take_the_weight_on_request(name):
    data = tiny_batch()
    plain = tiny_trainer(name)
    weighted = tiny_trainer(name, weight_own_variables=True)
    start = values(plain)
    logs = plain.train_step(data)
    weighted.train_step(data)
    for task in ("depth", "normals"):
        path = f"head_{task}/kernel"
        moved = values(plain)[path] - start[path]
        np.testing.assert_allclose(
            values(weighted)[path] - start[path], logs[f"{task}_weight"] * moved, atol=1e-6
        )


def test_loss_weights_scale_the_task_gradients():
    data = tiny_batch()
    made = tiny_trainer("sum", loss_weights={"depth": 3.0})
    plain = tiny_trainer(mtl.balancing.FixedWeights([3.0, 1.0]))
    logs = made.train_step(data)
    plain.train_step(data)
    np.testing.assert_allclose(
        flat(made.trainable_variables), flat(plain.trainable_variables), rtol=1e-5, atol=1e-7
    )
    assert (logs["depth_weight"], logs["normals_weight"]) == (3.0, 1.0)


@pytest.mark.parametrize("name", ["fixed_weights", "uncertainty", "geometric_mean", "famo"])
def test_diagnostics_do_not_change_a_scalarizers_step(name):
    data = tiny_batch(THREE)
    results = []
    for diagnostics in (False, True):
        made = tiny_trainer(name, THREE, diagnostics=diagnostics)
        logs = made.train_step(data)
        results.append(np.append(flat(made.trainable_variables), logs["loss"]))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)
    assert {"conflicts", "depth_gradient_norm", "depth_normals_cosine"} <= set(logs)


def test_diagnostics_say_what_the_gradients_are():
    data = tiny_batch()
    made = tiny_trainer("pcgrad", diagnostics=True)
    gradients = task_gradients(made, data, shared_variables(made))
    a, b = flat(gradients["depth"]), flat(gradients["normals"])
    logs = {**made.train_step(data), **made.last_gradients()}
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(logs["depth_normals_cosine"], cosine, rtol=1e-4)
    np.testing.assert_allclose(logs["depth_gradient_norm"], np.linalg.norm(a), rtol=1e-5)
    assert logs["conflicts"] == float(cosine < 0)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("level", ["parameters", "features"])
@pytest.mark.parametrize("name", ["upgrad", "config"])
def test_graph_and_xla_do_the_eager_step(name, level, jit):
    data = tiny_batch(THREE)
    eager = tiny_trainer(name, THREE, level=level)
    eager.train_step(data)
    made = tiny_trainer(name, THREE, level=level)
    tf.function(made.train_step, jit_compile=jit, autograph=False)(data)
    np.testing.assert_allclose(
        flat(made.trainable_variables), flat(eager.trainable_variables), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("level", ["parameters", "features"])
@pytest.mark.parametrize("name", ["mgda", "pcgrad", "graddrop", "config", "gradnorm"])
def test_native_ops_and_their_references_do_the_same_step(name, level, monkeypatch):
    data = tiny_batch(THREE)
    results = []
    for is_native in (True, False):
        if not is_native:
            monkeypatch.setattr(mtl.ops._library, "tensorflow_ops", lambda: None)
        options = {"seed": 1} if name in ("pcgrad", "graddrop") else {}
        made = tiny_trainer(mtl.balancing.TABLE[name].cls(**options), THREE, level=level)
        made.train_step(data)
        results.append(flat(made.trainable_variables))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)
