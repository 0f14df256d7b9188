"""What every backbone of the table must do, with the numbers its documentation promises."""

import itertools
import re

import keras
import numpy as np
import pytest

import mtl_tf as mtl

ROW = re.compile(r"^`(\w+)` +([\d,]+) +(\d+(?:, \d+)+) ", re.MULTILINE)
DOCUMENTED = {
    name: (int(parameters.replace(",", "")), [int(c) for c in channels.split(",")])
    for name, parameters, channels in ROW.findall(mtl.backbones.__doc__)
}
RESNETS = [name for name in mtl.backbones.TABLE if name.startswith("resnet")]
HRNETS = [name for name in mtl.backbones.TABLE if name.startswith("hrnet")]
LARGE = ("resnet101", "hrnet_w18", "hrnet_w32", "hrnet_w48", "efficientnet_lite4")
EACH = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
    for name in mtl.backbones.TABLE
]


def randomised(model, seed=0):
    """Gives every weight of a model another value; variances stay positive."""
    r = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(r.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(0.1 * r.standard_normal(variable.shape))
    return model


def test_every_backbone_is_documented():
    assert set(DOCUMENTED) == set(mtl.backbones.TABLE)


@pytest.mark.parametrize("name", EACH)
def test_parameters_strides_and_channels_are_the_documented_ones(name):
    parameters, channels = DOCUMENTED[name]
    model = mtl.backbones.build(name, (64, 96, 3), output_stride=32)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters
    expected = [(None, 64 // s, 96 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)]
    assert [tuple(feature.shape) for feature in model.outputs] == expected


@pytest.mark.parametrize(
    "name", ["resnet50_v1", pytest.param("hrnet_w18_small_v2", marks=pytest.mark.slow)]
)
def test_features_are_finite_and_depend_on_the_image(name):
    model = mtl.backbones.build(name, (64, 64, 3), output_stride=32)
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
    for feature in model(images, training=False):
        assert np.isfinite(feature).all()
        assert np.abs(feature[0] - feature[1]).max() > 0


@pytest.mark.parametrize("name", ["resnet18"])
def test_kernels_of_the_same_shape_start_with_different_values(name):
    seen: dict[tuple[int, ...], list[np.ndarray]] = {}
    for variable in mtl.backbones.build(name, (32, 32, 3)).trainable_variables:
        if variable.name == "kernel":
            seen.setdefault(tuple(variable.shape), []).append(variable.numpy())
    pairs = [pair for same in seen.values() for pair in itertools.pairwise(same)]
    assert len(pairs) > 5
    assert sum(np.array_equal(first, second) for first, second in pairs) == 0


def test_the_seed_decides_the_first_values():
    kernels = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        model = mtl.backbones.build("resnet18", (32, 32, 3))
        kernels.append(model.get_layer("layer3.0.conv2").kernel.numpy())
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_output_stride_bounds_the_strides_of_a_resnet(name, output_stride):
    model = mtl.backbones.build(name, (64, 96, 3), output_stride)
    strides = [(64 // f.shape[1], 96 // f.shape[2]) for f in model.outputs]
    assert strides == [(s, s) for s in (4, 8, min(16, output_stride), output_stride)]


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_a_dilated_resnet_sees_at_every_pixel_what_the_strided_one_sees_at_some(
    name, output_stride
):
    strided = randomised(mtl.backbones.build(name, (64, 96, 3), 32))
    dilated = mtl.backbones.build(name, (64, 96, 3), output_stride)
    dilated.set_weights(strided.get_weights())
    image = np.random.default_rng(1).standard_normal((1, 64, 96, 3)).astype(np.float32)
    for few, many in zip(strided(image), dilated(image), strict=True):
        step = many.shape[1] // few.shape[1]
        assert np.abs(many[:, ::step, ::step] - few).max() < 1e-4 * np.std(few)


@pytest.mark.parametrize(
    ("name", "dilations"),
    [
        (
            "resnet18",
            {"layer3.0": (1, 2), "layer3.1": (2, 2), "layer4.0": (2, 4), "layer4.1": (4, 4)},
        ),
        (
            "resnet50",
            {
                **{f"layer3.{i}": (1 if i == 0 else 2,) for i in range(6)},
                **{f"layer4.{i}": (2 if i == 0 else 4,) for i in range(3)},
            },
        ),
    ],
)
def test_dilations_at_output_stride_8_are_those_of_the_survey(name, dilations):
    found = {}
    for layer in mtl.backbones.build(name, (32, 32, 3)).layers:
        if getattr(layer, "kernel_size", None) == (3, 3) and "layer" in layer.name:
            block = layer.name.rpartition(".")[0]
            found[block] = (*found.get(block, ()), layer.dilation_rate[0])
    first = {block: rates for block, rates in found.items() if block not in dilations}
    assert {block: rates for block, rates in found.items() if block in dilations} == dilations
    assert {block[:6] for block in first} == {"layer1", "layer2"}
    assert all(set(rates) == {1} for rates in first.values())


def test_an_unknown_name_is_told():
    with pytest.raises(ValueError, match=r"Unknown backbone 'resnet19'.*'resnet18'"):
        mtl.backbones.build("resnet19", (64, 64, 3))
    with pytest.raises(ValueError, match=r"Unknown backbone 'resnet19'.*'resnet18'"):
        mtl.backbones.stages("resnet19")


@pytest.mark.parametrize("name", ["resnet18", "hrnet_w18_small_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("size", [(45, 61), (33, 64), (7, 5), (1, 1)])
def test_any_size_has_stages_of_half_the_size_rounded_up(name, size):
    model = mtl.backbones.build(name, (*size, 3), output_stride=32)
    sizes = [tuple(-(-n // stride) for n in size) for stride in (4, 8, 16, 32)]
    assert [tuple(x.shape[1:3]) for x in model.outputs] == sizes
    image = np.random.default_rng(0).standard_normal((1, *size, 3)).astype(np.float32)
    assert all(np.isfinite(x).all() for x in model(image))


@pytest.mark.parametrize("output_stride", [0, 4, 12, 64])
def test_another_output_stride_is_told(output_stride):
    with pytest.raises(ValueError, match=r"\(8, 16, 32\)"):
        mtl.backbones.build("resnet18", (64, 64, 3), output_stride)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (64, 64, 3, 1), (None, 64, 3)])
def test_an_input_shape_that_is_not_of_rgb_images_is_told(shape):
    with pytest.raises(ValueError, match="input_shape"):
        mtl.backbones.build("resnet18", shape)


@pytest.mark.parametrize("name", [*RESNETS, *HRNETS])
def test_the_head_of_the_survey_exists(name):
    assert mtl.backbones.TABLE[name].head in mtl.heads.TABLE
    is_hrnet = name in HRNETS
    assert mtl.backbones.TABLE[name].head == ("high_resolution" if is_hrnet else "deeplab")
