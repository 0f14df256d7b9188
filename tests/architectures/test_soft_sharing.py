"""Networks side by side: where they begin, and what they exchange."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.layers import BlockIdentity, CrossStitchUnit, SoftmaxMixture, SubspaceMixing
from tests.helpers.inputs import batch, randomised, tiny_backbone

TASKS = {"semseg": 5, "depth": 1, "normals": 3}
SHAPE = (16, 24, 3)
SOFT = {
    n: r.cls
    for n, r in mtl.architectures.TABLE.items()
    if issubclass(r.cls, mtl.architectures.SoftSharing)
}


def singles(tasks, backbone=None, shape=SHAPE, **kwargs):
    """A trained-like network for each task, no two alike."""
    return {
        task: randomised(
            mtl.architectures.SingleTask(backbone or tiny_backbone(), {task: n}, shape, **kwargs),
            seed,
        )
        for seed, (task, n) in enumerate(tasks.items())
    }


def values(model):
    return [v.numpy() for v in model.variables]


def test_the_soft_sharing_architectures():
    assert sorted(SOFT) == ["cross_stitch", "nddr_cnn", "sluice"]


# === Single-task networks as a beginning ===


def test_cross_stitch_of_single_networks_equals_them_before_it_mixes():
    tasks, shape = {"depth": 1, "normals": 3}, (32, 32, 3)
    options = {"head": "conv", "output_stride": 32}
    given = singles(tasks, "resnet18", shape, **options)
    model = mtl.architectures.CrossStitch("resnet18", tasks, shape, own=1.0, **options)
    image = batch({}, 2, 32, 32)[0]
    model.load_single_task(given)
    for task, output in model(image).items():
        np.testing.assert_array_equal(output, given[task](image)[task])
    mixed = mtl.architectures.CrossStitch("resnet18", tasks, shape, own=0.9, **options)
    mixed.load_single_task(given)
    assert np.abs(mixed(image)["depth"] - given["depth"](image)["depth"]).max() > 1e-3


def test_a_backbone_that_is_a_model_is_loaded_too():
    model = mtl.architectures.CrossStitch(tiny_backbone(), TASKS, SHAPE, own=1.0)
    given = singles(TASKS)
    model.load_single_task(given)
    image = batch({}, 2, *SHAPE[:2])[0]
    for task, output in model(image).items():
        np.testing.assert_array_equal(output, given[task](image)[task])


def test_some_tasks_may_be_loaded_and_the_others_stay():
    model = mtl.architectures.CrossStitch(tiny_backbone(), TASKS, SHAPE, own=1.0)
    given = singles(TASKS)
    image = batch({}, 2, *SHAPE[:2])[0]
    before = {task: y.numpy() for task, y in model(image).items()}
    model.load_single_task({"depth": given["depth"]})
    after = model(image)
    np.testing.assert_array_equal(after["depth"], given["depth"](image)["depth"])
    for task in ("semseg", "normals"):
        np.testing.assert_array_equal(after[task], before[task])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"edges": 1}, "Unknown task 'edges'.*'semseg', 'depth', 'normals'"),
        ({"depth": 2}, "'depth' must have the backbone.*differ: .'predict'"),
        ({"depth": 1, "sizes": (4, 8, 16)}, "'depth' must have the backbone, head and channels"),
        ({"depth": 1, "sizes": (4, 8)}, "'depth' must have the backbone, head and channels"),
    ],
)
def test_networks_that_do_not_fit_are_told_and_nothing_is_copied(other, message):
    model = mtl.architectures.CrossStitch(tiny_backbone(), TASKS, SHAPE)
    sizes = other.pop("sizes", (4, 8, 12))
    given = {**singles({"semseg": 5}), **singles(other, tiny_backbone(channels=sizes))}
    before = values(model)
    with pytest.raises(ValueError, match=message):
        model.load_single_task(given)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(new, old)


# === Where the exchanges begin ===


def mixing_of(model, kind):
    return [layer.mixing.numpy() for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("own", [0.9, 0.8])
def test_cross_stitch_begins_with_rows_that_sum_to_one(own, per_channel):
    model = mtl.architectures.CrossStitch(
        tiny_backbone(), TASKS, SHAPE, own=own, per_channel=per_channel
    )
    units = mixing_of(model, CrossStitchUnit)
    channels = (4, 8, 12) if per_channel else (1, 1, 1)
    assert [u.shape for u in units] == [(3, 3, c) for c in channels]
    expected = np.full((3, 3), (1 - own) / 2) + (own - (1 - own) / 2) * np.eye(3)
    for unit in units:
        np.testing.assert_allclose(unit.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(unit, np.repeat(expected[:, :, None], unit.shape[2], 2), 1e-6)


def test_the_survey_leaves_the_stem_alone_but_nddr_does_not():
    options = {"head": "conv", "output_stride": 32}
    tasks = {"depth": 1, "normals": 3}
    names = {}
    for name, kind in [("cross_stitch", "cross_stitch."), ("nddr_cnn", "nddr.")]:
        model = SOFT[name]("resnet18", tasks, (32, 32, 3), **options)
        names[name] = [layer.name for layer in model.layers if layer.name.startswith(kind)]
    assert names["cross_stitch"] == [f"cross_stitch.layer{i}" for i in (1, 2, 3, 4)]
    stages = ["conv", "layer1_without_conv", "layer2", "layer3", "layer4"]
    expected = [f"nddr.{s}.layer.{t}.{i}" for s in stages for t in tasks for i in (0, 1)]
    assert sorted(names["nddr_cnn"]) == sorted(expected)


def test_nddr_begins_with_a_multiple_of_the_identity_for_every_task():
    kernel = BlockIdentity(index=1, num=3, own=0.8)((1, 1, 6, 2))
    rows = [[0.1, 0, 0.8, 0, 0.1, 0], [0, 0.1, 0, 0.8, 0, 0.1]]
    np.testing.assert_allclose(np.transpose(kernel[0, 0]), rows, rtol=1e-6)
    model = mtl.architectures.NDDRCNN(tiny_backbone(channels=(2,)), TASKS, SHAPE, own=0.8)
    layer = model.get_layer("nddr.stage1.layer.depth.0")
    np.testing.assert_allclose(np.transpose(layer.kernel.numpy()[0, 0]), rows, rtol=1e-6)
    norm = model.get_layer("nddr.stage1.layer.depth.1")
    assert (norm.epsilon, norm.momentum) == (1e-5, 0.95)


def test_sluice_begins_with_its_own_subspaces_and_the_last_stage():
    model = mtl.architectures.Sluice(tiny_backbone(), {"a": 1, "b": 1}, SHAPE, own=0.7)
    units = mixing_of(model, SubspaceMixing)
    assert [u.shape for u in units] == [(4, 4, 1)] * 3
    expected = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    for unit in units:
        np.testing.assert_allclose(unit[:, :, 0], expected, rtol=1e-6)
    mixtures = [layer for layer in model.layers if isinstance(layer, SoftmaxMixture)]
    weights = [keras.ops.softmax(layer.logits).numpy() for layer in mixtures]
    np.testing.assert_allclose(weights, [[0.05, 0.05, 0.9]] * 2, rtol=1e-5)


# === What the units do ===


def test_subspaces_are_mixed_as_halves_of_the_channels():
    r = np.random.default_rng(0)
    maps = [r.standard_normal((2, 3, 4, 6)).astype(np.float32) for _ in range(2)]
    layer = SubspaceMixing(penalty=0.0)
    layer.build([x.shape for x in maps])
    alpha = r.standard_normal((4, 4, 1)).astype(np.float32)
    layer.mixing.assign(alpha)
    halves = np.stack([half for x in maps for half in (x[..., :3], x[..., 3:])])
    mixed = np.einsum("ij,j...->i...", alpha[:, :, 0], halves)
    for k, output in enumerate(layer(maps)):
        expected = np.concatenate([mixed[2 * k], mixed[2 * k + 1]], axis=-1)
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def penalty_of(maps):
    """`||G1ᵀ G2||²` of the halves of each map's channels, over the squared number of rows."""
    total = 0.0
    for x in maps:
        rows = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
        first, second = np.split(rows, 2, axis=1)
        total += ((first.T @ second / len(rows)) ** 2).sum()
    return total


def test_the_penalty_of_sluice_networks_is_in_their_losses():
    model = mtl.architectures.Sluice(tiny_backbone(), TASKS, SHAPE, penalty=0.25)
    units = [layer for layer in model.layers if isinstance(layer, SubspaceMixing)]
    image = batch({}, 2, *SHAPE[:2])[0]
    entering = keras.Model(model.input, [unit.input for unit in units])(image)
    expected = [0.25 * penalty_of(maps) for maps in entering]
    model(image)
    assert len(model.losses) == 3
    np.testing.assert_allclose(sorted(map(float, model.losses)), sorted(expected), rtol=1e-4)
    assert min(expected) > 0


def test_orthogonal_subspaces_and_no_penalty_cost_nothing():
    x = np.zeros((1, 1, 2, 4), np.float32)
    x[0, 0, 0, :2], x[0, 0, 1, 2:] = 5.0, 7.0  # no pixel has both halves
    layer = SubspaceMixing(penalty=1.0)
    layer([x, x])
    assert [float(loss) for loss in layer.losses] == [0.0]
    model = mtl.architectures.Sluice(tiny_backbone(), TASKS, SHAPE, penalty=0.0)
    model(batch({}, 1, *SHAPE[:2])[0])
    assert model.losses == []


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("cross_stitch", ("mixing",)),
        ("sluice", ("mixing", "logits")),
        ("nddr_cnn", ("nddr.",)),
        ("learned_branching", ("logits",)),
    ],
)
def test_the_exchange_alone_learns_faster(name, kinds, tmp_path):
    cls = mtl.architectures.TABLE[name].cls
    model = cls(tiny_backbone(), TASKS, SHAPE, learning_rate_multiplier=100.0)
    model.save(tmp_path / "model.keras")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        fast = [
            v.path
            for v in made.trainable_variables
            if getattr(v, "learning_rate_multiplier", 1.0) == 100.0
        ]
        expected = [v.path for v in made.trainable_variables if any(k in v.path for k in kinds)]
        assert fast == expected
        assert len(fast) >= 1
