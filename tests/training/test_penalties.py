"""What goes beside the methods: gradient penalties, waiting variables, modulation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, flat_variables, tiny_batch, tiny_trainer

THREE = ("depth", "normals", "saliency")


def test_orthogonal_gradients_add_their_own_gradient():
    data = tiny_batch()
    smooth = dict.fromkeys(("depth", "normals"), "mean_squared_error")
    penalties = [mtl.training.OrthogonalGradients(5.0)]
    made = tiny_trainer("fixed_weights", gradient_penalties=penalties, loss=smooth)
    plain = tiny_trainer("fixed_weights", loss=smooth)
    start = flat_variables(plain)

    def penalty():
        with tf.GradientTape(persistent=True) as tape:
            features = plain.network.get_layer("shared")(data[0])
            tape.watch(features)
            losses = [
                tf.reduce_mean((data[1][t] - plain.network.get_layer(f"head_{t}")(features)) ** 2)
                for t in ("depth", "normals")
            ]
        a, b = (np.ravel(tape.gradient(loss, features)).astype(np.float64) for loss in losses)
        return 5.0 * (a @ b) ** 2 / (a @ a) / (b @ b)

    value = penalty()
    logs = made.train_step(data)
    plain_logs = plain.train_step(data)
    np.testing.assert_allclose(logs["loss"] - plain_logs["loss"], value, rtol=1e-3, atol=1e-5)
    difference = (flat_variables(plain) - flat_variables(made)) / 0.1  # the gradient of the penalty
    # Along its own gradient the penalty rises as fast as the gradient says.
    direction = difference / np.linalg.norm(difference)
    step = 1e-2
    values = []
    for sign in (1, -1):
        offset = 0
        for variable in plain.trainable_variables:
            size = int(np.prod(variable.shape))
            piece = (start + sign * step * direction)[offset : offset + size]
            variable.assign(piece.reshape(variable.shape))
            offset += size
        values.append(penalty())
    rise = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(rise, np.linalg.norm(difference), rtol=0.1)


@pytest.mark.parametrize("level", ["parameters", "features"])
def test_adversarial_gradients_train_a_discriminator(level):
    penalty = mtl.training.AdversarialGradients(weight=0.1, ramp_steps=4)
    made = tiny_trainer("upgrad", THREE, gradient_penalties=[penalty], level=level)
    paths = {v.path: v.numpy() for v in penalty.trainable_variables}
    assert len(paths) == 4
    made.train_step(tiny_batch(THREE))
    assert any(np.any(v.numpy() != paths[v.path]) for v in penalty.trainable_variables)
    assert float(penalty.steps) == 1.0
    assert {v.path for v in penalty.variables} <= {v.path for v in made.variables}


def test_second_order_gradients_pass_through_resizing():
    x = tf.random.stateless_normal([1, 3, 4, 2], [1, 2])

    def slope(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = tf.reduce_sum(mtl.ops.bilinear(y, 6, 8) ** 3)
        return tf.reduce_sum(tape.gradient(value, y) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = slope(x)
    gradient = tape.gradient(value, x)
    direction = tf.random.stateless_normal(x.shape, [3, 4])
    step = 1e-3
    rise = (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), rise, rtol=1e-2)


def test_asynchronous_updates_wait_for_labels():
    made = tiny_trainer("fixed_weights", update_every={"normals": 2})
    plain = tiny_trainer("fixed_weights", optimizer=keras.optimizers.SGD(0.0))
    data = tiny_batch()
    head = made.network.get_layer("head_normals").kernel
    start = head.numpy()
    made.train_step(data)
    np.testing.assert_array_equal(head.numpy(), start)
    absent = (data[0], data[1], {**data[2], "normals": 0 * data[2]["normals"]})
    made.train_step(absent)
    np.testing.assert_array_equal(head.numpy(), start)
    made.train_step(data)
    assert np.any(head.numpy() != start)
    assert int(made.optimizer.iterations) == 3
    assert plain.asynchronous is None
    with pytest.raises(ValueError, match="update_every"):
        tiny_trainer(update_every={"normals": 0})


def test_modulation_scales_the_channels_of_every_task():
    tasks = {"depth": TASKS["depth"], "normals": TASKS["normals"]}
    model = mtl.architectures.SharedTrunk(
        "resnet18", tasks, (32, 32, 3), head="conv", modulation=True
    )
    plain = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3), head="conv")
    names = {layer.name for layer in model.layers if "modulation" in layer.name}
    assert names == {f"modulation.{task}.{s}" for task in tasks for s in range(4)}
    assert model.count_params() - plain.count_params() == 2 * (64 + 128 + 256 + 512)
    again = type(model).from_config(model.get_config())
    assert again.count_params() == model.count_params()
