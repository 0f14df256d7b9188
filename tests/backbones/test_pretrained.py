"""Published weights: read from files of every kind, all or nothing, and equal to their sources."""

import json
import pathlib
import sys

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.references import regenerated

TASKS = {"depth": 1, "normals": 3}
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def published(depth, seed=0):
    """A state dictionary as torchvision's ResNets have it, with random values."""
    r = np.random.default_rng(seed)
    state = {}

    def conv(name, outputs, inputs, size):
        scale = np.sqrt(2 / (inputs * size**2))
        values = scale * r.standard_normal((outputs, inputs, size, size))
        state[f"{name}.weight"] = values.astype(np.float32)

    def norm(name, channels):
        for part in ("weight", "running_var"):
            state[f"{name}.{part}"] = r.uniform(0.5, 1.5, channels).astype(np.float32)
        for part in ("bias", "running_mean"):
            state[f"{name}.{part}"] = (0.1 * r.standard_normal(channels)).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(1234)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    expansion = 4 if depth == 50 else 1
    inputs = 64
    for stage, number in enumerate(BLOCKS[depth]):
        inner = 64 * 2**stage
        outputs = inner * expansion
        for block in range(number):
            name = f"layer{stage + 1}.{block}"
            channels = (inputs, inner, inner, outputs) if depth == 50 else (inputs, inner, outputs)
            sizes = (1, 3, 1) if depth == 50 else (3, 3)
            for i, size in enumerate(sizes):
                conv(f"{name}.conv{i + 1}", channels[i + 1], channels[i], size)
                norm(f"{name}.bn{i + 1}", channels[i + 1])
            if block == 0 and (stage > 0 or inputs != outputs):
                conv(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    state["fc.weight"] = r.standard_normal((1000, inputs)).astype(np.float32)
    state["fc.bias"] = r.standard_normal(1000).astype(np.float32)
    return state


def save_safetensors(state, path):
    from safetensors.numpy import save_file

    save_file(state, path)
    return path


def save_torch(state, path, wrap=lambda tensors: tensors):
    torch = pytest.importorskip("torch")
    torch.save(wrap({name: torch.from_numpy(value) for name, value in state.items()}), path)
    return path


def in_keras(state, name):
    """A tensor as Keras holds it."""
    tensor = state[name]
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor


def all_layers(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        elif layer.weights:
            yield layer


def check_holds(model, state, prefix=""):
    """Every tensor of the backbone is in the layer of its name behind `prefix`."""
    layers = {layer.name: layer for layer in all_layers(model)}
    names = {name.rpartition(".")[0] for name in state if not name.startswith("fc.")}
    for name in names:
        layer = layers[prefix + name]
        if f"{name}.running_mean" in state:
            parts = {"gamma": "weight", "beta": "bias"}
            parts |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
        else:
            parts = {"kernel": "weight"}
        assert {v.name for v in layer.variables} == set(parts)
        for own, theirs in parts.items():
            expected = in_keras(state, f"{name}.{theirs}")
            np.testing.assert_array_equal(getattr(layer, own), expected)
    return {prefix + name for name in names}


def values(model, without=()):
    """All weights but those of the layers `without`, by layer."""
    return {
        (layer.name, v.name): v.numpy()
        for layer in all_layers(model)
        if layer.name not in without
        for v in layer.variables
    }


def check_same(before, after):
    assert set(before) == set(after)
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key])


# === Files ===


@pytest.mark.parametrize(
    ("name", "depth"), [("resnet18", 18), pytest.param("resnet50", 50, marks=pytest.mark.slow)]
)
def test_safetensors_fill_the_layers_of_their_names(name, depth, tmp_path):
    state = published(depth)
    model = mtl.backbones.build(name, (32, 32, 3), output_stride=32)
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    assert check_holds(model, state) == {layer.name for layer in all_layers(model)}


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda tensors: tensors, id="plain"),
        pytest.param(lambda tensors: {"state_dict": tensors, "epoch": 3}, id="state_dict"),
        pytest.param(lambda tensors: {"model": tensors}, id="model"),
        pytest.param(
            lambda tensors: {"state_dict": {f"module.{n}": t for n, t in tensors.items()}},
            id="DataParallel",
        ),
    ],
)
def test_torch_files_fill_the_layers_of_their_names(wrap, tmp_path):
    state = published(18)
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    mtl.backbones.load_pretrained(model, str(save_torch(state, tmp_path / "a.pth", wrap)))
    check_holds(model, state)


def test_half_precision_is_widened(tmp_path):
    state = published(18)
    half = {n: v.astype(np.float16) if v.ndim else v for n, v in state.items()}
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    mtl.backbones.load_pretrained(model, save_safetensors(half, tmp_path / "a.safetensors"))
    check_holds(model, {name: value.astype(np.float32) for name, value in half.items()})


def test_parameters_that_require_gradients_are_read_too(tmp_path):
    torch = pytest.importorskip("torch")
    state = published(18)
    path = save_torch(
        state,
        tmp_path / "a.pth",
        lambda tensors: {
            n: torch.nn.Parameter(t) if t.dtype.is_floating_point else t for n, t in tensors.items()
        },
    )
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    mtl.backbones.load_pretrained(model, path)
    check_holds(model, state)


# === Architectures ===


def test_a_shared_trunk_gets_the_weights_and_its_heads_stay(tmp_path):
    state = published(18)
    model = mtl.architectures.SharedTrunk("resnet18", TASKS, (32, 32, 3))
    before = values(model)
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    filled = check_holds(model, state, "backbone.")
    others = {key: value for key, value in before.items() if key[0] not in filled}
    assert {name.partition(".")[0] for name, _ in others} == {"decoders"}
    check_same(others, values(model, filled))


def test_mtan_gets_the_weights_and_its_attention_stays(tmp_path):
    state = published(18)
    model = mtl.architectures.MTAN("resnet18", TASKS, (32, 32, 3))
    before = values(model)
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    filled = check_holds(model, state, "backbone.")
    others = {key: value for key, value in before.items() if key[0] not in filled}
    parts = {name.partition(".")[0].partition("_")[0] for name, _ in others}
    assert parts == {"attention", "refine", "heads"}
    check_same(others, values(model, filled))


@pytest.mark.parametrize("cls", [mtl.architectures.CrossStitch, mtl.architectures.NDDRCNN])
def test_every_tasks_copy_gets_the_weights(cls, tmp_path):
    state = published(18)
    model = cls("resnet18", TASKS, (32, 32, 3), head="conv")
    before = values(model)
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    filled = set().union(*(check_holds(model, state, f"backbone.{task}.") for task in TASKS))
    others = {key: value for key, value in before.items() if key[0] not in filled}
    assert others
    assert not any(name.startswith("backbone.") for name, _ in others)
    check_same(others, values(model, filled))


def test_every_branch_gets_the_weights_of_its_stages(tmp_path):
    state = published(18)
    model = mtl.architectures.Branched("resnet18", TASKS, (32, 32, 3), head="conv")
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    last = {n: v for n, v in state.items() if n.startswith("layer4.")}
    first = {n: v for n, v in state.items() if n not in last}
    filled = check_holds(model, first, "backbone.")
    for task in TASKS:
        filled |= check_holds(model, last, f"backbone.{task}.")
    backbone = {layer.name for layer in all_layers(model) if layer.name.startswith("backbone.")}
    assert filled == backbone


# === Errors ===


def damaged(state, kind):
    state = dict(state)
    if kind == "missing":
        del state["layer3.1.conv2.weight"]
    elif kind == "extra":
        state["layer3.2.conv1.weight"] = np.zeros((256, 256, 3, 3), np.float32)
    elif kind == "misshaped":
        state["layer3.1.conv2.weight"] = np.zeros((256, 256, 3, 1), np.float32)
    return state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"layer3\.1\.conv2\.weight is missing"),
        ("extra", r"layer3\.2\.conv1\.weight has no place"),
        (
            "misshaped",
            r"layer3\.1\.conv2\.weight must be \(256, 256, 3, 3\), is \(256, 256, 3, 1\)",
        ),
    ],
)
@pytest.mark.parametrize("kept", ["backbone", "copies"])
def test_tensors_that_do_not_fit_are_named_and_nothing_is_changed(kind, message, kept, tmp_path):
    if kept == "backbone":
        model = mtl.backbones.build("resnet18", (32, 32, 3))
    else:
        model = mtl.architectures.CrossStitch("resnet18", TASKS, (32, 32, 3), head="conv")
    before = values(model)
    path = save_safetensors(damaged(published(18), kind), tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=rf"odd\.safetensors does not fit.*{message}"):
        mtl.backbones.load_pretrained(model, path)
    check_same(before, values(model))


def test_another_depth_is_told_with_a_few_names_only(tmp_path):
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    path = save_safetensors(published(50), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"has no place.*and \d+ more") as error:
        mtl.backbones.load_pretrained(model, path)
    assert len(str(error.value)) < 600
    check_same(before, values(model))


def bad_file(kind, folder):
    if kind == "nonexistent":
        return folder / "nothing.pth"
    if kind == "folder":
        return folder
    if kind in ("noise.safetensors", "noise.pth"):
        (folder / kind).write_bytes(np.random.default_rng(0).bytes(1000))
        return folder / kind
    if kind == "cut.safetensors":
        path = save_safetensors(published(18), folder / kind)
        path.write_bytes(path.read_bytes()[:-1000])
        return path
    torch = pytest.importorskip("torch")
    if kind == "cut.pth":
        path = save_torch(published(18), folder / kind)
        path.write_bytes(path.read_bytes()[:-1000])
        return path
    contents = {
        "code.pth": {"model": np.random.default_rng(0)},
        "number.pth": 3,
        "numbers.pth": {"conv1.weight": 3},
        "tensor.pth": torch.zeros(3),
    }[kind]
    torch.save(contents, folder / kind)
    return folder / kind


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nonexistent", r"There is no checkpoint .*nothing\.pth"),
        ("folder", "There is no checkpoint"),
        ("noise.safetensors", r"noise\.safetensors is not a safetensors file"),
        ("cut.safetensors", r"cut\.safetensors is not a safetensors file"),
        ("noise.pth", r"noise\.pth is not a checkpoint of tensors"),
        ("cut.pth", r"cut\.pth is not a checkpoint of tensors"),
        ("code.pth", r"code\.pth is not a checkpoint of tensors"),
        ("number.pth", r"number\.pth must hold a state dictionary"),
        ("numbers.pth", r"numbers\.pth must hold a state dictionary"),
        ("tensor.pth", r"tensor\.pth must hold a state dictionary"),
    ],
)
def test_files_that_are_no_checkpoints_are_told_and_nothing_is_changed(kind, message, tmp_path):
    if kind.endswith(".pth"):
        pytest.importorskip("torch")
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    with pytest.raises(ValueError, match=message):
        mtl.backbones.load_pretrained(model, bad_file(kind, tmp_path))
    check_same(before, values(model))


def test_without_pytorch_a_torch_file_asks_for_it_and_safetensors_still_load(monkeypatch, tmp_path):
    state = published(18)
    torch_file = save_torch(state, tmp_path / "a.pth")
    monkeypatch.setitem(sys.modules, "torch", None)
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    with pytest.raises(ImportError, match=r"a\.pth needs PyTorch: pip install torch"):
        mtl.backbones.load_pretrained(model, torch_file)
    check_same(before, values(model))
    mtl.backbones.load_pretrained(model, save_safetensors(state, tmp_path / "a.safetensors"))
    check_holds(model, state)


# === Parity with timm, whose ResNets have torchvision's names ===


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
@pytest.mark.parametrize("save", [save_safetensors, save_torch])
def test_features_equal_timms_on_the_same_state_dictionary(name, save, tmp_path):
    frozen = np.load(pathlib.Path(__file__).with_name("timm_values.npz"))
    shapes = json.loads(str(frozen["meta"]))[name]
    assert "fc.weight" in shapes
    state = {key: regenerated(key, shape).astype(np.float32) for key, shape in shapes.items()}
    state["bn1.num_batches_tracked"] = np.array(7)
    model = mtl.backbones.build(name, (32, 32, 3), output_stride=32)
    suffix = "pth" if save is save_torch else "safetensors"
    mtl.backbones.load_pretrained(model, save(state, tmp_path / f"model.{suffix}"))
    image = np.random.default_rng(0).standard_normal((1, 32, 32, 3)).astype(np.float32)
    for i, feature in enumerate(model(image, training=False)):
        expected = frozen[f"{name}|{i}"]
        assert feature.shape == expected.shape
        assert np.abs(feature - expected).max() < 1e-4 * expected.std()


# === Keras' own ResNet-50 ===

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
    with pytest.raises(ValueError, match=r"layer3\.\d+\..* has no place"):
        mtl.backbones.load_pretrained(model, other)
    check_same(before, values(model))
