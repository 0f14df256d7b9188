"""Branched networks: what a tree must be, and what its extremes equal."""

import itertools

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.architectures.branched import checked_tree
from mtl_tf.architectures.soft_sharing import weighted_layers
from tests.helpers.inputs import batch, randomised, tiny_backbone

TASKS = {"semseg": 5, "depth": 1, "normals": 3}
A, B, C = TASKS
SHAPE = (16, 24, 3)
SHARED, SPLIT = [(A, B, C)], [(A,), (B,), (C,)]


def branched(tree, **kwargs):
    return mtl.architectures.Branched(tiny_backbone(), TASKS, SHAPE, tree=tree, **kwargs)


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def stage_parameters():
    """Trainable numbers of the stages of `tiny_backbone`: 3x3 convolutions and norms."""
    channels = (3, 4, 8, 12)
    return [9 * i * o + 2 * o for i, o in itertools.pairwise(channels)]


def test_nothing_split_costs_what_a_shared_trunk_does():
    trunk = mtl.architectures.SharedTrunk(tiny_backbone(), TASKS, SHAPE)
    assert count(branched([SHARED] * 3)) == count(trunk)


def test_all_split_costs_what_single_networks_do():
    singles = [
        count(mtl.architectures.SingleTask(tiny_backbone(), {task: n}, SHAPE))
        for task, n in TASKS.items()
    ]
    assert count(branched([SPLIT] * 3)) == sum(singles)


@pytest.mark.parametrize(
    ("tree", "copies"),
    [
        (None, (1, 1, 3)),
        ([SHARED, [(A, C), (B,)], SPLIT], (1, 2, 3)),
        ([[(B, C), (A,)], [(C, B), (A,)], [(A,), (C, B)]], (2, 2, 2)),
        ([SHARED, SPLIT, SPLIT], (1, 3, 3)),
    ],
)
def test_one_copy_of_a_stage_per_group(tree, copies):
    parts = mtl.architectures.summary(branched(tree)).parts
    expected = sum(n * p for n, p in zip(copies, stage_parameters(), strict=True))
    assert parts["backbone"].parameters == expected


def test_stages_of_a_named_backbone_are_shared():
    tree = [[("a", "b")]] * 3 + [[("a",), ("b",)]] * 2
    model = mtl.architectures.Branched(
        "resnet18", {"a": 1, "b": 2}, (32, 32, 3), head="conv", output_stride=32, tree=tree
    )
    stages = {9_408 + 128 + 147_968 + 525_568: 1, 2_099_712 + 8_393_728: 2}
    parts = mtl.architectures.summary(model).parts
    assert parts["backbone"].parameters == sum(n * copies for n, copies in stages.items())


def test_all_split_with_copied_weights_equals_the_single_networks():
    model = branched([SPLIT] * 3)
    image = batch(TASKS, 2, 16, 24)[0]
    singles = {
        task: randomised(mtl.architectures.SingleTask(tiny_backbone(), {task: n}, SHAPE), seed=n)
        for task, n in TASKS.items()
    }
    own = dict(weighted_layers(model))
    for task, single in singles.items():
        stages = [n for n in own if n.startswith(f"backbone.{task}.")]
        trunk = [x for n, x in weighted_layers(single) if not n.startswith("decoder.")]
        assert len(stages) == len(trunk) == 6
        for name, layer in zip(stages, trunk, strict=True):
            own[name].set_weights(layer.get_weights())
        for layer in single.layers:
            if layer.name.startswith("decoder."):
                name = layer.name.replace("decoder.", f"heads.{task}.")
                own[name].set_weights(layer.get_weights())
    outputs = model(image)
    for task, single in singles.items():
        np.testing.assert_allclose(outputs[task], single(image)[task], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_reads_the_stages_of_its_groups_only(task):
    tree = [SHARED, [(A, C), (B,)], SPLIT]
    model = branched(tree)
    image = batch(TASKS, 1, 16, 24)[0]
    before = {t: y.numpy() for t, y in model(image).items()}
    for name, layer in weighted_layers(model):
        if name.startswith(f"backbone.{task}."):
            layer.set_weights([w + 0.5 for w in layer.get_weights()])
    changed = {t for t, y in model(image).items() if np.abs(y - before[t]).max() > 1e-6}
    assert changed == {task}


def test_the_group_that_two_tasks_share_changes_both():
    model = branched([SHARED, [(A, C), (B,)], SPLIT])
    image = batch(TASKS, 1, 16, 24)[0]
    before = {t: y.numpy() for t, y in model(image).items()}
    for name, layer in weighted_layers(model):
        if name.startswith(f"backbone.{A}+{C}."):
            layer.set_weights([w + 0.5 for w in layer.get_weights()])
    changed = {t for t, y in model(image).items() if np.abs(y - before[t]).max() > 1e-6}
    assert changed == {A, C}


def test_without_a_tree_only_the_last_stage_is_split():
    tree = checked_tree(None, ["stem", "layer1", "layer2"], ["a", "b"])
    assert tree == [[("a", "b")], [("a", "b")], [("a",), ("b",)]]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([SHARED] * 2, r"one partition of the tasks for each of the stages.*Received: 2"),
        ([SHARED] * 4, r"Received: 4"),
        ([SHARED, SHARED, [(A, B)]], "must hold each of the tasks.*'stage3'"),
        ([SHARED, [(A, B), (B, C)], SPLIT], "must hold each of the tasks.*'stage2'"),
        ([SHARED, [(A, B), (C, "edges")], SPLIT], "must hold each of the tasks"),
        ([SHARED, SHARED, [(A, B, C), ()]], "must hold each of the tasks"),
        ([SPLIT, SHARED, SPLIT], r"cannot merge again.*'stage2'"),
        ([SHARED, [(A, B), (C,)], [(A, C), (B,)]], r"cannot merge again.*'stage3'"),
    ],
)
def test_what_is_not_a_tree_is_told(tree, message):
    with pytest.raises(ValueError, match=message):
        branched(tree)
