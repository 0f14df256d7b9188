"""Backbones of KerasHub, with random weights: nothing is downloaded."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl

TASKS = {"depth": 1, "normals": 3}
SHAPE = (64, 64, 3)  # KerasHub's MiT takes square images only
KINDS = ["ResNet", "MiT", "DenseNet"]


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub")


def instance(hub, kind, shape=SHAPE):
    """A small backbone of a kind."""
    if kind == "ResNet":
        return hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 8, 16, 16],
            stackwise_num_blocks=[1, 1, 1, 1],
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block",
            image_shape=shape,
        )
    if kind == "MiT":
        return hub.models.MiTBackbone(
            layerwise_depths=[1, 1, 1, 1],
            num_layers=4,
            layerwise_num_heads=[1, 1, 2, 2],
            layerwise_sr_ratios=[8, 4, 2, 1],
            max_drop_path_rate=0.0,
            layerwise_patch_sizes=[7, 3, 3, 3],
            layerwise_strides=[4, 2, 2, 2],
            hidden_dims=[8, 8, 16, 16],
            image_shape=shape,
        )
    return hub.models.DenseNetBackbone([1, 1, 1, 1], image_shape=shape, growth_rate=8)


def images(size=2):
    return np.random.default_rng(0).standard_normal((size, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_features_have_the_strides_4_to_32_finest_first(kind, hub):
    model = mtl.backbones.keras_hub(instance(hub, kind), SHAPE)
    strides = [(64 // x.shape[1], 64 // x.shape[2]) for x in model.outputs]
    assert strides == [(4, 4), (8, 8), (16, 16), (32, 32)]


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_the_backbones_own(kind, hub):
    backbone = instance(hub, kind)
    model = mtl.backbones.keras_hub(backbone, SHAPE)
    expected = keras.Model(backbone.input, backbone.pyramid_outputs)(images(), training=False)
    by_size = {tuple(x.shape): np.asarray(x) for x in expected.values()}
    for feature in model(images(), training=False):
        np.testing.assert_allclose(feature, by_size[tuple(feature.shape)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shared_trunk", "ResNet"),
        ("cross_stitch", "ResNet"),
        pytest.param("cross_stitch", "MiT", marks=pytest.mark.slow),
    ],
)
def test_architectures_train_all_of_it(name, kind, hub):
    model = mtl.architectures.TABLE[name].cls(
        mtl.backbones.keras_hub(instance(hub, kind), SHAPE), TASKS, SHAPE
    )
    with tf.GradientTape() as tape:
        outputs = model(images(), training=True)
        loss = tf.add_n([tf.reduce_mean(y**2) for y in outputs.values()])
    assert {t: tuple(y.shape) for t, y in outputs.items()} == {
        t: (2, 64, 64, c) for t, c in TASKS.items()
    }
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
    moved = sum(float(np.abs(g).max()) > 0 for g in gradients)
    assert moved > 0.9 * len(gradients)


@pytest.mark.parametrize("kind", ["ResNet", pytest.param("MiT", marks=pytest.mark.slow)])
def test_saved_model_reloads_with_the_same_outputs(kind, hub, tmp_path):
    backbone = mtl.backbones.keras_hub(instance(hub, kind), SHAPE)
    model = mtl.architectures.CrossStitch(backbone, TASKS, SHAPE)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")  # needs keras_hub imported
    assert type(again) is type(model)
    for task, output in model(images()).items():
        np.testing.assert_array_equal(output, again(images())[task])


@pytest.mark.parametrize("kind", ["ResNet", "MiT"])
def test_copies_have_a_stage_for_every_feature(kind, hub):
    model = mtl.backbones.keras_hub(instance(hub, kind), SHAPE)
    assert len(mtl.backbones.stages(model)) == len(model.outputs)


def test_copies_start_with_the_backbones_weights(hub):
    backbone = instance(hub, "ResNet")
    model = mtl.architectures.CrossStitch(mtl.backbones.keras_hub(backbone, SHAPE), TASKS, SHAPE)
    convs = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    kernels = {layer.name: layer.kernel.numpy() for layer in convs}
    found = [
        layer
        for piece in model.layers
        if isinstance(piece, keras.Model)
        for layer in piece.layers
        if layer.name in kernels
    ]
    assert len(found) == len(TASKS) * len(kernels) > 0
    for layer in found:
        np.testing.assert_array_equal(layer.kernel, kernels[layer.name])


def test_a_folder_of_a_preset_is_loaded_at_the_asked_size(hub, tmp_path):
    backbone = instance(hub, "ResNet", (32, 32, 3))
    backbone.save_to_preset(str(tmp_path / "preset"))
    model = mtl.backbones.keras_hub(str(tmp_path / "preset"), SHAPE)
    assert tuple(model.input.shape) == (None, *SHAPE)
    for found, expected in zip(model.get_weights(), backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_backbone_without_a_pyramid_is_told(hub):
    swin = hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=8, depths=(1, 1), num_heads=(1, 1), window_size=4
    )
    with pytest.raises(ValueError, match=r"pyramid outputs.*SwinTransformerBackbone"):
        mtl.backbones.keras_hub(swin, (32, 32, 3))


def test_a_transformer_whose_features_are_no_maps_is_told(hub):
    dino = hub.models.DINOV2Backbone(
        patch_size=16,
        num_layers=1,
        hidden_dim=8,
        num_heads=1,
        intermediate_dim=8,
        image_shape=(32, 32, 3),
        position_embedding_shape=(32, 32, 3),
    )
    with pytest.raises(ValueError, match="that are maps"):
        mtl.backbones.keras_hub(dino, (32, 32, 3))


def test_a_plain_keras_model_is_told():
    image = keras.Input(SHAPE)
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ValueError, match=r"pyramid outputs.*Functional"):
        mtl.backbones.keras_hub(model, SHAPE)


@pytest.mark.parametrize("shape", [(32, 32, 3), (None, None, 3)])
def test_a_backbone_of_another_size_is_told(shape, hub):
    backbone = instance(hub, "ResNet", shape)
    with pytest.raises(ValueError, match=r"image_shape=\(64, 64, 3\).*Received: \("):
        mtl.backbones.keras_hub(backbone, SHAPE)


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r'pip install "mtl-tf\[hub\]"'):
        mtl.backbones.keras_hub("resnet_18_imagenet", SHAPE)
