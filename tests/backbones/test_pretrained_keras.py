"""Keras' own ResNet-50: its weights, its preprocessing, its strides."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.backbones.checkpoints import TASKS, check_same, values

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def keras_resnet50(seed=0, **kwargs):
    """Keras' ResNet-50; biases and batch normalisations have random values too."""
    keras.utils.set_random_seed(seed)
    model = keras.applications.ResNet50(weights=None, **{"include_top": False, **kwargs})
    r = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(r.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "bias", "moving_mean"):
            variable.assign(0.1 * r.standard_normal(variable.shape))
    # Variances as small as epsilon, as dead channels have: a wrong epsilon would be seen.
    last = model.get_layer("conv5_block3_3_bn")
    last.moving_variance.assign(r.uniform(1e-6, 2e-6, last.moving_variance.shape))
    last.gamma.assign(1e-3 * last.gamma)
    return model


@pytest.mark.slow
def test_keras_resnet50_gives_the_same_features_for_the_same_images():
    """The whole preprocessing is folded into the first convolution.

    Outside the image the two networks differ: both pad with zeros, which is Caffe's mean colour to
    Keras' network and ImageNet's to ours, up to 0.4 grey values apart. An output at stride 32 sees
    241 pixels to every side, so in 544 pixels only the outputs 8 and 9 see nothing of the outside.
    The tolerance is that of float32 through 50 layers.
    """
    theirs = keras_resnet50(input_shape=(544, 544, 3))
    ours = mtl.backbones.build("resnet50_v1", (544, 544, 3), output_stride=32)
    mtl.backbones.load_pretrained(ours, theirs)
    images = np.random.default_rng(1).uniform(0, 255, (1, 544, 544, 3)).astype(np.float32)
    expected = theirs(keras.applications.resnet.preprocess_input(images.copy()), training=False)
    found = ours(((images / 255 - MEAN) / STD).astype(np.float32), training=False)[-1]
    assert theirs.output.name == theirs.get_layer("conv5_block3_out").output.name
    assert found.shape == expected.shape == (1, 17, 17, 2048)
    inside = np.s_[:, 8:10, 8:10]
    difference = np.abs(found[inside] - expected[inside])
    assert difference.max() < 1e-4 * np.std(expected[inside])


@pytest.mark.slow
def test_imagenet_is_keras_own_download(monkeypatch):
    asked = []
    theirs = keras_resnet50(input_shape=(32, 32, 3))

    def application(**kwargs):
        asked.append(kwargs)
        return theirs

    monkeypatch.setattr(keras.applications, "ResNet50", application)
    model = mtl.backbones.build("resnet50_v1", (32, 32, 3))
    mtl.backbones.load_pretrained(model, "imagenet")
    assert asked == [{"include_top": False, "weights": "imagenet"}]
    expected = theirs.get_layer("conv4_block2_2_conv").kernel
    np.testing.assert_array_equal(model.get_layer("layer3.1.conv2").kernel, expected)


@pytest.mark.slow
def test_the_classifier_of_keras_resnet50_is_left_out():
    theirs = keras_resnet50(include_top=True)
    model = mtl.architectures.SharedTrunk("resnet50_v1", {"depth": 1}, (32, 32, 3), head="conv")
    mtl.backbones.load_pretrained(model, theirs)
    expected = theirs.get_layer("conv5_block1_0_conv").kernel
    np.testing.assert_array_equal(
        model.get_layer("backbone.layer4.0.downsample.0").kernel, expected
    )


@pytest.mark.parametrize("copies", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_keras_resnet50_needs_strides_as_in_the_paper(copies):
    model = mtl.backbones.build("resnet50", (32, 32, 3))
    if copies:
        model = mtl.architectures.CrossStitch("resnet50", TASKS, (32, 32, 3), head="conv")
    before = values(model)
    with pytest.raises(ValueError, match="resnet50_v1"):
        mtl.backbones.load_pretrained(model, keras_resnet50(input_shape=(32, 32, 3)))
    check_same(before, values(model))


@pytest.mark.slow
def test_other_keras_models_are_refused():
    model = mtl.backbones.build("resnet50_v1", (32, 32, 3))
    before = values(model)
    other = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35)
    with pytest.raises(ValueError, match="does not fit the model"):
        mtl.backbones.load_pretrained(model, other)
    other = keras.applications.ResNet101(weights=None, input_shape=(32, 32, 3), include_top=False)
    with pytest.raises(ValueError, match=r"layer3\.\d+\..* is unexpected"):
        mtl.backbones.load_pretrained(model, other)
    check_same(before, values(model))
