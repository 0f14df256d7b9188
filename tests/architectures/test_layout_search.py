"""The layout search, piece by piece against NumPy and brute force, and end to end."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.architectures.layout_search import refinements
from mtl_tf.architectures.soft_sharing import weighted_layers
from tests.helpers.inputs import batch, randomised, tiny_backbone


def random_affinities(num_stages, num_tasks, seed):
    r = np.random.default_rng(seed)
    matrices = r.uniform(-0.2, 1, (num_stages, num_tasks, num_tasks))
    matrices = (matrices + matrices.transpose(0, 2, 1)) / 2
    matrices[:, range(num_tasks), range(num_tasks)] = 1
    return matrices


def set_partitions(items):
    """All partitions of a list, written another way than the package does."""
    labels = itertools.product(range(len(items)), repeat=len(items))
    found = set()
    for label in labels:
        groups = [frozenset(x for x, n in zip(items, label, strict=True) if n == k) for k in label]
        found.add(frozenset(groups))
    return found


def score(tree, affinities):
    """Sum over the stages of the mean over groups of the largest dissimilarity inside."""
    total = 0.0
    for partition, affinity in zip(tree, affinities, strict=True):
        worst = [max(1 - affinity[i, j] for i in group for j in group) for group in partition]
        total += sum(worst) / len(worst)
    return total


def is_tree(tree):
    return all(
        all(any(set(group) <= set(above) for above in upper) for group in lower)
        for upper, lower in itertools.pairwise(tree)
    )


def price(tree, costs):
    return sum(cost * len(partition) for cost, partition in zip(costs, tree, strict=True))


def test_rdm_is_one_minus_the_correlation():
    r = np.random.default_rng(0)
    features = (10 + r.standard_normal((6, 3, 4, 5))).astype(np.float32)
    expected = 1 - np.corrcoef(features.reshape(6, -1).astype(np.float64))
    found = mtl.architectures.rdm(features)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(np.diag(found), 0)


def test_rdm_of_features_that_do_not_vary_is_finite():
    features = np.random.default_rng(0).standard_normal((4, 7))
    features[1] = 3.0
    found = mtl.architectures.rdm(features)
    np.testing.assert_array_equal(found[1], [1, 0, 1, 1])


def test_rdm_needs_three_images():
    with pytest.raises(ValueError, match=r"three images or more\. Received: 2"):
        mtl.architectures.rdm(np.ones((2, 5)))


def test_affinity_is_the_rank_correlation_of_the_upper_triangles():
    def matrix(*triangle):
        full = np.zeros((4, 4))
        full[np.triu_indices(4, k=1)] = triangle
        full[np.tril_indices(4, k=-1)] = 99.0  # never read
        return full

    rdms = [
        matrix(1, 2, 3, 4, 5, 6),
        matrix(0.1, 0.2, 0.3, 0.4, 0.5, 60),  # the same order
        matrix(6, 5, 4, 3, 2, 1),  # the other way round
        matrix(2, 1, 3, 4, 5, 6),  # rho = 1 - 6 * 2 / (6 * 35)
    ]
    near = 1 - 12 / 210
    expected = [[1, 1, -1, near], [1, 1, -1, near], [-1, -1, 1, -near], [near, near, -near, 1]]
    np.testing.assert_allclose(mtl.architectures.affinity(rdms), expected, atol=1e-12)


def test_affinity_is_spearman_s_with_equal_values_and_nan_with_nan():
    values = np.random.default_rng(0).integers(0, 4, (3, 6, 6)).astype(np.float64)
    values[2, 0, 1] = np.nan
    upper = np.triu_indices(6, k=1)
    found = mtl.architectures.affinity(list(values))
    expected = scipy.stats.spearmanr(values[0][upper], values[1][upper]).statistic
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-12)
    assert np.isnan(found[:2, 2]).all()


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 4])
def test_refinements_are_all_partitions_once(num_tasks):
    items = tuple(range(num_tasks))
    found = [frozenset(map(frozenset, p)) for p in refinements((items,))]
    assert len(found) == len(set(found))
    assert set(found) == set_partitions(items)


@pytest.mark.parametrize("share", [0.26, 0.35, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize(("num_tasks", "num_stages"), [(3, 4), (4, 3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_search_finds_what_brute_force_finds(num_tasks, num_stages, share, seed):
    affinities = random_affinities(num_stages, num_tasks, seed)
    costs = np.random.default_rng(seed).uniform(1, 3, num_stages).tolist()
    budget = max(share * num_tasks, 1) * sum(costs)
    partitions = [[tuple(group) for group in p] for p in set_partitions(range(num_tasks))]
    best = min(
        score(tree, affinities)
        for tree in itertools.product(partitions, repeat=num_stages)
        if price(tree, costs) <= budget and is_tree(tree)
    )
    found = mtl.architectures.search(affinities, costs, budget)
    assert len(found) == num_stages
    assert all(sorted(itertools.chain(*p)) == list(range(num_tasks)) for p in found)
    assert is_tree(found)
    assert price(found, costs) <= budget * (1 + 1e-9)
    np.testing.assert_allclose(score(found, affinities), best, rtol=1e-12)


def test_a_narrow_beam_still_finds_a_tree_within_the_budget():
    affinities, costs = random_affinities(4, 5, 0), [1.0, 2.0, 3.0, 4.0]
    found = mtl.architectures.search(affinities, costs, 22.0, beam_width=1)
    exact = mtl.architectures.search(affinities, costs, 22.0)
    assert is_tree(found)
    assert price(found, costs) <= 22
    assert score(found, affinities) >= score(exact, affinities)


def test_a_budget_that_allows_no_tree_is_told():
    with pytest.raises(ValueError, match=r"one copy of every stage, 6. Received: 5.9"):
        mtl.architectures.search(random_affinities(3, 2, 0), [1, 2, 3], 5.9)


# === End to end ===

eagerly = pytest.mark.filterwarnings("ignore:Even though the .*run_functions_eagerly")


def single(task, channels, seed, sizes=(4, 8, 12)):
    backbone = tiny_backbone(channels=sizes, seed=seed)
    return randomised(mtl.architectures.SingleTask(backbone, {task: channels}, (16, 24, 3)), seed)


def trunk(model):
    return [layer for name, layer in weighted_layers(model) if not name.startswith("decoder.")]


@pytest.fixture
def eager():
    """Without tracing nine functions, which takes longer than running them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def models():
    """Three networks of which the first and the last have the same backbone."""
    return {
        "semseg": single("semseg", 5, 0),
        "depth": single("depth", 1, 1),
        "normals": single("normals", 3, 0),
    }


@eagerly
def test_tasks_with_the_same_representations_share_their_stages(models, eager):
    budget = 0.67
    for one, other in zip(*map(trunk, (models["semseg"], models["normals"])), strict=True):
        other.set_weights(one.get_weights())
    images = batch({}, 12, 16, 24)[0]
    tree = mtl.architectures.search_layout(models, images, budget)
    assert [set(partition) for partition in tree] == [{("semseg", "normals"), ("depth",)}] * 3
    tasks = {"semseg": 5, "depth": 1, "normals": 3}
    made = mtl.architectures.Branched(tiny_backbone(), tasks, (16, 24, 3), tree=tree)
    one = mtl.architectures.summary(models["depth"]).parts["backbone"].multiply_adds
    cost = mtl.architectures.summary(made).parts["backbone"].multiply_adds
    assert cost == 2 * one
    assert cost <= budget * 3 * one


@eagerly
def test_the_smallest_budget_shares_everything(models, eager):
    images = batch({}, 6, 16, 24)[0]
    tree = mtl.architectures.search_layout(models, images, 1 / 3)
    assert tree == [[("semseg", "depth", "normals")]] * 3
    with pytest.raises(ValueError, match="budget must allow one copy"):
        mtl.architectures.search_layout(models, images, 0.3)


def test_models_with_different_backbones_are_told(models):
    other = single("depth", 1, 0, sizes=(4, 8))
    with pytest.raises(ValueError, match="same backbone"):
        mtl.architectures.search_layout({**models, "depth": other}, batch({}, 4, 16, 24)[0], 0.7)
