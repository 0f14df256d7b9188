"""Stages: blocks in a row, and the stages of copies of any functional model."""

import keras
import numpy as np
import pytest
from keras import layers

import mtl_tf as mtl
from mtl_tf.backbones.stage import Stage, appending, changed, replacing, stages_of


def chain(names=("first", "second", "third")):
    """Three strided convolutions, each an output and the next one's input."""
    x = image = keras.Input((16, 16, 3))
    outputs = []
    for i, name in enumerate(names):
        x = layers.Conv2D(4 + i, 3, 2, "same", activation="relu", name=name)(x)
        outputs.append(x)
    return keras.Model(image, outputs, name="chain")


def images(size=2):
    return np.random.default_rng(0).standard_normal((size, 16, 16, 3)).astype(np.float32)


def run(stages, image):
    """The maps after each stage."""
    maps, history = [image], []
    for stage in stages.values():
        maps = stage(maps)
        history.append(maps)
    return history


def test_replacing_and_appending_act_on_the_last_map():
    assert replacing(lambda x: x * 10)([1, 2]) == [1, 20]
    assert appending(lambda x: x * 10)([1, 2]) == [1, 2, 20]


def test_a_block_does_not_change_the_list_it_is_given():
    given = [1, 2]
    replacing(lambda x: x * 10)(given)
    appending(lambda x: x * 10)(given)
    assert given == [1, 2]


def test_a_stage_runs_its_blocks_in_order():
    stage = Stage((replacing(lambda x: x + 1), appending(lambda x: x * 10), replacing(abs)))
    assert stage([-3]) == [-2, 20]
    assert Stage(())([5]) == [5]


def test_changed_finds_new_maps_by_identity_and_not_by_value():
    a, b, c = [1.0], [1.0], [2.0]
    assert changed([a], [a]) == []
    assert changed([a], [a, b]) == [1]
    assert changed([a, b], [c, b]) == [0]
    assert changed([a], [b, a, c]) == [0, 2]
    assert changed([], [a]) == [0]


def test_stages_of_a_chain_are_its_outputs_one_by_one():
    model = chain()
    stages = stages_of(model, "")
    history = run(stages, images())
    assert list(stages) == ["stage1", "stage2", "stage3"]
    assert [len(maps) for maps in history] == [1, 2, 3]
    for found, expected in zip(history[-1], model(images()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_each_stage_makes_one_map_and_keeps_the_others():
    history = run(stages_of(chain(), ""), images())
    for i, (before, after) in enumerate(zip([[], *history], history, strict=False)):
        assert changed(before, after) == [i]


def test_copies_start_with_the_models_weights_and_are_independent():
    model = chain()
    image = keras.Input((16, 16, 3))
    copies = [
        keras.Model(image, run(stages_of(model, prefix), image)[-1]) for prefix in ("a.", "b.")
    ]
    original = model.get_weights()
    for copy in copies:
        for found, expected in zip(copy.get_weights(), original, strict=True):
            np.testing.assert_array_equal(found, expected)
    copies[0].set_weights([w + 1 for w in original])
    for untouched in (model, copies[1]):
        for found, expected in zip(untouched.get_weights(), original, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_batch_normalisations_own_statistics_are_copied():
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, mtl.layers.conv_block(image, 4, 3, 2, names=("conv", "norm")))
    r = np.random.default_rng(0)
    model.set_weights([r.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    found = run(stages_of(model, ""), images())[-1][0]
    np.testing.assert_allclose(found, model(images(), training=False), rtol=1e-5, atol=1e-6)


def test_a_model_with_a_single_output_is_one_stage():
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Conv2D(4, 3, 2, "same")(image))
    stages = stages_of(model, "")
    assert list(stages) == ["stage1"]
    (maps,) = run(stages, images())
    assert len(maps) == 1
    np.testing.assert_allclose(maps[0], model(images()), rtol=1e-5, atol=1e-6)


def test_a_model_whose_second_output_needs_more_than_the_first_is_one_stage():
    image = keras.Input((16, 16, 3))
    common = layers.Conv2D(4, 3, 2, "same", name="common")(image)
    fine = layers.Conv2D(4, 3, padding="same", name="fine")(common)
    coarse = layers.Conv2D(8, 3, 2, "same", name="coarse")(common)
    model = keras.Model(image, [fine, coarse])
    stages = stages_of(model, "")
    assert list(stages) == ["stage1"]
    (maps,) = run(stages, images())
    for found, expected in zip(maps, model(images()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("needs_more", [False, True])
def test_an_architecture_with_copies_can_be_built_on_either_kind(needs_more):
    image = keras.Input((16, 16, 3))
    fine = layers.Conv2D(4, 3, 2, "same", name="fine")(image)
    source = image if needs_more else fine
    coarse = layers.Conv2D(8, 3, 4 if needs_more else 2, "same", name="coarse")(source)
    backbone = keras.Model(image, [fine, coarse])
    model = mtl.architectures.CrossStitch(backbone, {"depth": 1, "normals": 3}, (16, 16, 3))
    assert {t: tuple(y.shape) for t, y in model(images()).items()} == {
        "depth": (2, 16, 16, 1),
        "normals": (2, 16, 16, 3),
    }


def test_an_architecture_with_copies_has_the_copies_weights_only():
    backbone = chain()
    model = mtl.architectures.CrossStitch(backbone, {"depth": 1, "normals": 3}, (16, 16, 3))
    given = {id(v) for v in backbone.variables}
    assert not [v.path for v in model.variables if id(v) in given]
    kernels = [v for v in model.trainable_variables if v.path.endswith("second/kernel")]
    assert len(kernels) == 2


def test_outputs_in_a_dictionary_keep_their_order():
    """Finest first is the order of the dictionary, whatever the keys sort to."""
    image = keras.Input((16, 16, 3))
    fine = layers.Conv2D(4, 3, 2, "same", name="z_fine")(image)
    coarse = layers.Conv2D(8, 3, 2, "same", name="a_coarse")(fine)
    backbone = keras.Model(image, {"z_fine": fine, "a_coarse": coarse})
    maps = run(mtl.backbones.stages(backbone), images())[-1]
    assert [tuple(x.shape) for x in maps] == [(2, 8, 8, 4), (2, 4, 4, 8)]


def test_stages_of_a_named_backbone_have_the_prefix():
    image = keras.Input((32, 32, 3))
    maps = [image]
    for stage in mtl.backbones.stages("resnet18", 32, "backbone.depth.").values():
        maps = stage(maps)
    weighted = [layer.name for layer in keras.Model(image, maps).layers if layer.weights]
    assert "backbone.depth.layer4.1.bn2" in weighted
    assert all(name.startswith("backbone.depth.") for name in weighted)


def test_stages_of_named_backbones_are_fresh():
    image = keras.Input((32, 32, 3))
    models = [
        keras.Model(image, run(mtl.backbones.stages("resnet18", 32), image)[-1]) for _ in range(2)
    ]
    kernels = [model.get_layer("backbone.conv1").kernel for model in models]
    assert kernels[0] is not kernels[1]
    assert np.abs(kernels[0].numpy() - kernels[1].numpy()).max() > 0


def test_names_of_the_stages():
    names = ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert list(mtl.backbones.stages("resnet50")) == names
    names = ["stem", "stage2", "stage3", "stage4"]
    assert list(mtl.backbones.stages("hrnet_w18_small_v2")) == names
    assert list(mtl.backbones.stages(chain())) == ["stage1", "stage2", "stage3"]
