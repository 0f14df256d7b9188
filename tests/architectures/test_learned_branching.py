"""Learned branching: trees, costs, samples, and what becomes of the supergraph."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.architectures.soft_sharing import weighted_layers
from mtl_tf.layers import BranchingChoices, expected_cost
from mtl_tf.layers.sharing.branching_choices import straight_through
from tests.helpers.inputs import batch, randomised, tiny_backbone

TASKS = {"semseg": 5, "depth": 1, "normals": 3}
A, B, C = TASKS
SHAPE = (16, 24, 3)
# choices[s][k]: the node of stage s that node (or head) k reads; then the tree.
HAND_MADE = [
    ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [[{A, B, C}]] * 3),
    ([[0, 1, 2], [0, 1, 2], [0, 1, 2]], [[{A}, {B}, {C}]] * 3),
    ([[2, 2, 2], [0, 1, 1], [0, 2, 0]], [[{A, B, C}], [{A, C}, {B}], [{A, C}, {B}]]),
    # Heads read 1, 2, 1; these read 0, 1; and those both 2: the choices of node 0 do not count.
    ([[2, 2, 1], [1, 0, 1], [1, 2, 1]], [[{A, B, C}], [{A, C}, {B}], [{A, C}, {B}]]),
    ([[0, 1, 2], [1, 0, 2], [1, 1, 2]], [[{A, B}, {C}]] * 3),
]


def certain(choices):
    return 100.0 * tf.one_hot(choices, len(choices[0]))


@pytest.mark.parametrize(("choices", "tree"), HAND_MADE)
def test_the_tree_of_the_likeliest_choices(choices, tree):
    found = mtl.architectures.derive_tree(certain(choices), [A, B, C])
    assert [[set(g) for g in partition] for partition in found] == tree
    mtl.architectures.Branched(tiny_backbone(), TASKS, SHAPE, tree=found)


def test_logits_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match=r"K = 3 tasks. Received: \(2, 2, 2\)"):
        mtl.architectures.derive_tree(np.zeros((2, 2, 2)), [A, B, C])
    with pytest.raises(ValueError, match=r"Received: \(3, 3\)"):
        mtl.architectures.derive_tree(np.zeros((3, 3)), [A, B, C])


@pytest.mark.parametrize(("choices", "tree"), HAND_MADE)
def test_certain_choices_cost_what_their_tree_does(choices, tree):
    costs = [1.0, 2.0, 5.0]
    copies = sum(cost * len(partition) for cost, partition in zip(costs, tree, strict=True))
    found = expected_cost(certain(choices), costs)
    np.testing.assert_allclose(found, copies / (3 * sum(costs)), rtol=1e-6)


def test_the_cost_is_the_mean_over_independent_choices():
    r = np.random.default_rng(0)
    logits = r.standard_normal((2, 2, 2)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = 0.0
    for a in range(2):
        for b in range(2):  # what the two heads read
            used = sorted({a, b})
            heads = p[1, 0, a] * p[1, 1, b]
            first = 1.0 if len(used) == 1 else 1.0 + 1.0 - (p[0, 0] * p[0, 1]).sum()
            expected += heads * (3.0 * first + 1.0 * len(used))
    np.testing.assert_allclose(expected_cost(logits, [3.0, 1.0]), expected / 8, rtol=1e-6)


@pytest.mark.parametrize("num_stages", [1, 3, 5, 12])
@pytest.mark.parametrize("num_tasks", [2, 3, 5])
def test_even_choices_cost_less_than_all_and_more_than_one(num_tasks, num_stages):
    costs = np.linspace(2.0, 1.0, num_stages).tolist()
    cost = float(expected_cost(tf.zeros((num_stages, num_tasks, num_tasks)), costs))
    assert 1 / num_tasks < cost < 1


@pytest.mark.parametrize("num_tasks", [2, 4])
def test_descent_on_the_cost_shares_more(num_tasks):
    logits = tf.Variable(tf.zeros((3, num_tasks, num_tasks)))
    costs = [1.0, 2.0, 3.0]
    logits.assign(0.1 * np.random.default_rng(0).standard_normal(logits.shape))
    values = []
    for _ in range(40):
        with tf.GradientTape() as tape:
            value = expected_cost(logits, costs)
        values.append(float(value))
        logits.assign_sub(20.0 * tape.gradient(value, logits))
    assert all(after < before for before, after in itertools.pairwise(values))
    assert values[-1] < 1 / num_tasks + 0.1


def test_straight_through_is_one_hot_with_the_gradient_of_the_soft_choice():
    logits = tf.Variable(np.random.default_rng(0).standard_normal((2, 3, 3)), dtype=tf.float32)
    factor = tf.constant(np.random.default_rng(1).standard_normal((2, 3, 3)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        soft = tf.nn.softmax(logits)
        hard = straight_through(soft)
        both = [tf.reduce_sum(factor * x) for x in (hard, soft)]
    expected = np.eye(3)[np.argmax(logits, axis=-1)]
    np.testing.assert_allclose(hard, expected, atol=1e-6)
    np.testing.assert_array_equal(tape.gradient(both[0], logits), tape.gradient(both[1], logits))


def choices_of(logits, **kwargs):
    layer = BranchingChoices([1.0] * len(logits), len(logits[0]), seed=0, **kwargs)
    layer.logits.assign(logits)
    return layer


def test_samples_follow_the_softmax_of_the_logits_at_temperature_one():
    logits = np.random.default_rng(0).standard_normal((2, 3, 3)).astype(np.float32)
    layer, count = choices_of(logits), 4000
    draw = tf.function(lambda: tf.stack(layer(tf.zeros(()), training=True)))
    samples = np.stack([draw() for _ in range(count)])
    np.testing.assert_allclose(samples.max(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(samples.sum(axis=-1), 1, atol=1e-6)
    p = tf.nn.softmax(logits).numpy().astype(np.float64)
    sigmas = (samples.mean(axis=0) - p) / np.sqrt(p * (1 - p) / count)
    assert np.abs(sigmas).max() < 4


def test_colder_samples_are_nearer_to_one_hot_and_soft_without_is_hard():
    layer = choices_of(np.zeros((4, 5, 5)), is_hard=False)
    largest = []
    for temperature in (10.0, 1.0, 0.01):
        layer.temperature.assign(temperature)
        drawn = [np.stack(layer(tf.zeros(()), training=True)) for _ in range(5)]
        np.testing.assert_allclose(np.sum(drawn, axis=-1), 1, rtol=1e-5)
        largest.append(np.mean(np.max(drawn, axis=-1)))
    assert largest[0] < 0.4 < largest[1] < 0.9 < 0.95 < largest[2]


def test_mixing_is_even_whatever_the_choices_and_inference_is_certain():
    logits = np.array([[[0, 3, 1], [0, 0, 0], [1, 0, 2]]], np.float32)
    layer = choices_of(logits)
    layer.is_mixing.assign(1.0)
    np.testing.assert_allclose(layer(tf.zeros(()), training=True)[0], np.full((3, 3), 1 / 3))
    (matrix,) = layer(tf.zeros(()), training=False)
    np.testing.assert_array_equal(matrix, [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("choices", [choices for choices, _ in HAND_MADE[2:]])
def test_inference_equals_the_branched_model_of_its_tree(choices):
    model = mtl.architectures.LearnedBranching(tiny_backbone(), TASKS, SHAPE)
    randomised(model)
    model.choices.logits.assign(certain(choices))
    made = mtl.architectures.Branched(tiny_backbone(), TASKS, SHAPE, tree=model.tree())
    given, nodes = dict(weighted_layers(model)), list(TASKS)
    for name, layer in weighted_layers(made):
        if name.startswith("heads."):
            layer.set_weights(given[name].get_weights())
            continue
        stage, inner = name.removeprefix("backbone.").split("/")
        group, _, number = f".{stage}".rpartition(".stage")
        node = nodes.index(group[1:].split("+")[0] if group else nodes[0])
        for choice in reversed(choices[int(number) - 1 :]):  # from the head back to that stage
            node = choice[node]
        copies = [n for n in given if n.startswith(f"backbone.{nodes[node]}.stage{number}/")]
        own = [n for n, _ in weighted_layers(made) if n.startswith(f"backbone.{stage}/")]
        layer.set_weights(given[copies[own.index(f"backbone.{stage}/{inner}")]].get_weights())
    image = batch({}, 2, 16, 24)[0]
    expected = model(image)
    for task, output in made(image).items():
        np.testing.assert_allclose(output, expected[task], rtol=1e-4, atol=1e-5)


def test_the_resource_loss_is_the_models_loss():
    model = mtl.architectures.LearnedBranching(tiny_backbone(), TASKS, SHAPE, resource_weight=0.5)
    model(batch({}, 1, 16, 24)[0])
    macs = [96 * 3 * 9 * 4, 24 * 4 * 9 * 8, 6 * 8 * 9 * 12]
    expected = 0.5 * expected_cost(tf.zeros((3, 3, 3)), macs)
    np.testing.assert_allclose(model.losses, [expected], rtol=1e-6)
    free = mtl.architectures.LearnedBranching(tiny_backbone(), TASKS, SHAPE)
    free(batch({}, 1, 16, 24)[0])
    assert free.losses == []


# === Annealing ===


def annealed(epochs, epoch, **kwargs):
    model = mtl.architectures.LearnedBranching(
        tiny_backbone(channels=(2,)), {"depth": 1, "normals": 3}, SHAPE
    )
    callback = mtl.training.AnnealBranching(epochs, **kwargs)
    callback.set_model(model)
    callback.on_epoch_begin(epoch)
    return float(model.choices.is_mixing), float(model.choices.temperature)


@pytest.mark.parametrize(
    ("epochs", "epoch", "is_mixing", "temperature"),
    [(200, 0, 1, 10), (200, 1, 1, 10 / 2**0.5), (200, 2, 0, 10 / 3**0.5), (100, 99, 0, 0.5)],
)
def test_nodes_are_mixed_first_then_choices_get_colder(epochs, epoch, is_mixing, temperature):
    np.testing.assert_allclose(annealed(epochs, epoch), (is_mixing, temperature), rtol=1e-6)


def test_the_share_of_mixing_epochs_is_free():
    assert [annealed(10, epoch, mixing_share=0.5)[0] for epoch in (4, 5)] == [1, 0]
    assert annealed(10, 0, mixing_share=0.0)[0] == 0


def test_no_epochs_are_told():
    with pytest.raises(ValueError, match=r"positive\. Received: 0"):
        mtl.training.AnnealBranching(0)


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        choices = self.model.network.choices
        self.seen.append((epoch, float(choices.is_mixing), float(choices.temperature)))


def test_fit_anneals_and_a_resumed_run_goes_on_by_the_number_of_the_epoch():
    tasks = {"depth": 1, "normals": 3}
    model = mtl.architectures.LearnedBranching(
        tiny_backbone(), tasks, SHAPE, resource_weight=1e-2, learning_rate_multiplier=10.0, seed=0
    )
    made = mtl.MultiTaskTrainer(model, tasks)
    made.compile(keras.optimizers.Adam(1e-3), metrics={t: [] for t in tasks})
    image, targets, masks = batch(tasks, 4, 16, 24)
    watch = Watch()
    history = {"loss": []}
    for begin, end in [(0, 2), (5, 6)]:
        callbacks = [mtl.training.AnnealBranching(20, mixing_share=0.05), watch]
        found = made.fit(
            image,
            targets,
            sample_weight=masks,
            batch_size=2,
            verbose=0,
            initial_epoch=begin,
            epochs=end,
            callbacks=callbacks,
        )
        history["loss"] += found.history["loss"]
        if end == 2:
            moved = np.abs(model.choices.logits.numpy()).max()
    np.testing.assert_allclose(
        watch.seen, [(0, 1, 1), (1, 0, 1 / 2**0.5), (5, 0, 1 / 6**0.5)], rtol=1e-6
    )
    assert np.isfinite(history["loss"]).all()
    assert moved > 0
    assert sorted(len(g) for g in model.tree()[-1]) in ([1, 1], [2])
