"""The parts of decoder-focused architectures against their definitions in float64 NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.architectures import mti_net

TASKS = ("a", "b", "c")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def convolved(x, kernel):
    """A 3x3 convolution with zeros around."""
    padded = np.pad(np.float64(x), [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("nhwcij,ijcd->nhwd", windows, np.float64(kernel))


def distilled(features, model, targets, gate):
    """What `distill` is defined as, pair by pair."""
    layers = {
        layer.name.split("attention.")[1]: layer.kernel.numpy()
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    c = features["a"].shape[-1]
    found = {}
    for target in targets:
        found[target] = np.float64(features[target])
        for source, x in features.items():
            if source == target:
                continue
            place = [t for t in targets if t != source].index(target)
            sent = layers[f"from.{source}"]
            if gate == "source":
                pair = sent[..., 2 * place * c : 2 * (place + 1) * c]
                message = sigmoid(convolved(x, pair[..., :c])) * convolved(x, pair[..., c:])
            else:
                pair = sent[..., place * c : (place + 1) * c]
                if gate == "target":
                    letting = sigmoid(convolved(features[target], layers[f"to.{target}"]))
                    message = letting * convolved(x, pair)
                else:
                    message = sigmoid(convolved(x, pair)) * x
            found[target] = found[target] + message
    return found


@pytest.mark.parametrize("targets", [TASKS, TASKS[:2], TASKS[:1]])
@pytest.mark.parametrize("gate", ["source", "target", "survey"])
def test_messages_are_those_of_the_definition(gate, targets):
    features = {task: draw(2, 4, 5, 6, seed=i) for i, task in enumerate(TASKS)}
    inputs = {task: keras.Input((4, 5, 6), name=task) for task in TASKS}
    model = keras.Model(inputs, mtl.layers.distill(inputs, targets, gate, "module"))
    found, expected = model(features), distilled(features, model, targets, gate)
    assert list(found) == list(targets)
    for target, y in found.items():
        np.testing.assert_allclose(y, expected[target], rtol=1e-4, atol=1e-4)


def test_convolutions_are_one_for_each_source():
    inputs = {task: keras.Input((4, 5, 6), name=task) for task in TASKS}
    model = keras.Model(inputs, mtl.layers.distill(inputs, TASKS, "source", "module"))
    kernels = [x.kernel.shape for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert kernels == [(3, 3, 6, 2 * 2 * 6)] * 3


def test_one_task_has_nobody_to_listen_to():
    inputs = {"a": keras.Input((4, 5, 6))}
    assert mtl.layers.distill(inputs, ["a"], "target", "module") == inputs


def test_unknown_gates_are_told():
    with pytest.raises(ValueError, match="survey"):
        mtl.layers.distill({"a": keras.Input((4, 5, 6))}, ["a"], "both", "module")


@pytest.mark.parametrize("layout", ["across_tasks", "official"])
def test_propagation_weighs_tasks(layout):
    """The mask of every position and channel sums to one over what the layout says."""
    inputs = {task: keras.Input((4, 6, 8), name=task) for task in TASKS}
    model = keras.Model(inputs, mti_net._feature_propagation(inputs, layout, "fpm"))
    (mask,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Softmax))
    logits = keras.Model(inputs, mask.input)
    features = {task: draw(2, 4, 6, 8, seed=i) for i, task in enumerate(TASKS)}
    joint = np.concatenate(list(features.values()), axis=-1)
    raw = logits(features).numpy().reshape(2, 4, 6, 24)
    if layout == "across_tasks":  # channel c of task t is number 8 t + c
        weights = softmax(raw.reshape(2, 4, 6, 3, 8), axis=3).reshape(raw.shape)
    else:  # neighbouring channels
        weights = softmax(raw.reshape(2, 4, 6, 8, 3)).reshape(raw.shape)
    (block,) = (x for x in model.layers if x.name == "fpm.dimensionality_reduction.conv1")
    before = keras.Model(inputs, block.input)(features)
    np.testing.assert_allclose(before, weights * joint, rtol=1e-4, atol=1e-5)


def test_squeeze_and_excitation_scales_channels():
    image = keras.Input((4, 5, 32))
    model = keras.Model(image, mtl.layers.squeeze_excite(image, "se"))
    x = draw(2, 4, 5, 32)
    inner, outer = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    assert inner.units == 2
    hidden = np.maximum(x.mean((1, 2)) @ inner.kernel.numpy() + inner.bias.numpy(), 0)
    scale = sigmoid(hidden @ outer.kernel.numpy() + outer.bias.numpy())
    np.testing.assert_allclose(model(x), x * scale[:, None, None], rtol=1e-4, atol=1e-6)


def test_affinity_propagation_is_the_dense_computation():
    embeddings = [draw(2, 3, 4, 5, seed=i) for i in range(3)]
    features = [draw(2, 3, 4, 7, seed=10 + i) for i in range(2)]
    layer = mtl.layers.AffinityPropagation(steps=2)
    layer(embeddings, features)
    np.testing.assert_allclose(sigmoid(layer.beta.numpy()), 0.05, rtol=1e-5)
    layer.mixing.assign(draw(2, 3, seed=20))
    layer.beta.assign([-1.0, 0.5])
    affinities = []
    for x in np.float64(embeddings):
        flat = x.reshape(2, 12, 5) / np.linalg.norm(x.reshape(2, 12, 5), axis=-1, keepdims=True)
        affinities.append(softmax(flat @ flat.transpose(0, 2, 1)))
    shares = softmax(np.float64(layer.mixing.numpy()))
    for t, y in enumerate(layer(embeddings, features)):
        joint = np.einsum("s,sbqk->bqk", shares[t], affinities)
        beta, x = sigmoid(np.float64(layer.beta.numpy()[t])), features[t].reshape(2, 12, 7)
        for _ in range(2):
            x = beta * joint @ x + (1 - beta) * x
        np.testing.assert_allclose(y, x.reshape(2, 3, 4, 7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2])
def test_local_affinities_are_those_of_the_window(dilation):
    queries, keys, features = draw(2, 5, 6, 3), draw(2, 5, 6, 3, seed=1), draw(2, 5, 6, 4, seed=2)
    affinity = mtl.layers.LocalAffinity(3, dilation)(queries, keys).numpy()
    diffused = mtl.layers.LocalDiffusion(3, dilation)(affinity, features).numpy()
    steps = (-dilation, 0, dilation)
    for b, i, j in np.ndindex(2, 5, 6):
        around = [(i + di, j + dj) for di in steps for dj in steps]
        inside = [0 <= y < 5 and 0 <= x < 6 for y, x in around]
        places = [place for place, there in zip(around, inside, strict=True) if there]
        scores = np.array([queries[b, i, j] @ keys[b, y, x] for y, x in places]) / np.sqrt(3)
        expected = np.zeros(9)
        expected[inside] = softmax(scores)
        np.testing.assert_allclose(affinity[b, i, j], expected, atol=1e-5)
        mixed = sum(
            p * features[b, y, x] for p, (y, x) in zip(softmax(scores), places, strict=True)
        )
        np.testing.assert_allclose(diffused[b, i, j], mixed, atol=1e-5)


def test_windows_have_a_middle():
    with pytest.raises(ValueError, match="odd"):
        mtl.layers.LocalAffinity(4)


def test_the_discriminator_is_trained_against_the_features():
    """Its loss falls along its own gradient and rises along that of the features."""
    layer = mtl.layers.TaskDiscriminator(weight=1.0, units=8)
    features = [tf.Variable(draw(2, 3, 4, 5, seed=i)) for i in range(3)]

    def loss():
        layer([tf.convert_to_tensor(x) for x in features], training=True)
        return tf.add_n(layer.losses)

    loss()
    with tf.GradientTape() as tape:
        before = loss()
    own = [v.value for v in layer.trainable_variables]
    of_features, of_own = tape.gradient(before, [features, own])
    for x, gradient in zip(features, of_features, strict=True):
        x.assign_sub(0.1 * gradient)
    assert loss() > before
    for x, gradient in zip(features, of_features, strict=True):
        x.assign_add(0.1 * gradient)
    for variable, gradient in zip(own, of_own, strict=True):
        variable.assign_sub(0.1 * gradient)
    assert loss() < before


def test_the_discriminator_says_nothing_at_inference():
    layer = mtl.layers.TaskDiscriminator()
    features = [draw(2, 3, 4, 5, seed=i) for i in range(2)]
    found = layer(features, training=False)
    assert layer.losses == []
    np.testing.assert_array_equal(found[1], features[1])


def test_adapters_begin_at_zero_and_tasks_alike():
    """A fresh ASTMT gives every task the same features, the shared network's."""
    from tests.helpers.inputs import tiny_backbone

    model = mtl.architectures.ASTMT(tiny_backbone(16, 24), {"a": 3, "b": 3}, (16, 24, 3))
    first, second = (model.get_layer(f"decoders.{task}") for task in ("a", "b"))
    second.set_weights(first.get_weights())
    outputs = model(draw(2, 16, 24, 3))
    np.testing.assert_allclose(outputs["a"], outputs["b"], rtol=1e-5, atol=1e-6)
    shared = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    adapters = [x for x in shared if x.name.endswith("adapter")]
    assert len(adapters) == 2 * sum(
        x.kernel_size[0] > 1 and not x.name.endswith("adapter") for x in shared
    )
    assert all(not np.any(x.kernel.numpy()) for x in adapters)
