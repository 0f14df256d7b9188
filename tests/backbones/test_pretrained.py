"""Published weights: read from files of every kind, all or nothing, and equal to their sources."""

import json
import pathlib

import numpy as np
import pytest

import mtl_tf as mtl
from tests.backbones.checkpoints import (
    TASKS,
    all_layers,
    check_holds,
    check_same,
    published,
    save_safetensors,
    save_torch,
    values,
)
from tests.helpers.references import regenerated

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
