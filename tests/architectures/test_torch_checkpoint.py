"""Checkpoints of the official code: every tensor in its place, or none."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtl_tf as mtl
from tests.helpers.references import OFFICIAL, official, official_model

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
SMALL = "shared-hr18-semseg+depth"
NDDR = "nddr-r18-semseg+depth"


def random_state(root, name, seed=0):
    r = np.random.default_rng(seed)
    shapes = official(root)[1][name]["state_dict"]
    return {tensor: r.random(shape, np.float32) for tensor, shape in shapes}


def layers_by_name(model):
    """The layers of a model and of the models in it; no name may come twice."""
    found = {}
    for layer in model.layers:
        inner = layers_by_name(layer) if hasattr(layer, "layers") else {layer.name: layer}
        assert not set(inner) & set(found)
        found.update(inner)
    return found


def value_of(layers, name, rename=lambda name: name):
    """What the model has for a tensor, in PyTorch's layout."""
    owner, _, kind = rename(name).rpartition(".")
    if kind == "param":
        unit, target, source = owner.rsplit(".", 2)
        layer = layers[unit.removesuffix(".cross_stitch_unit")]
        tasks = ["semseg", "depth"]
        return layer.mixing.numpy()[tasks.index(target), tasks.index(source)]
    layer = layers[owner]
    if hasattr(layer, "moving_mean"):
        return getattr(layer, BATCH_NORM[kind]).numpy()
    return np.transpose(layer.kernel, (3, 2, 0, 1)) if kind == "weight" else layer.bias.numpy()


def check(model, state, **kwargs):
    layers = layers_by_name(model)
    for name, tensor in state.items():
        np.testing.assert_array_equal(value_of(layers, name, **kwargs), tensor, err_msg=name)


@pytest.fixture
def load(tmp_path):
    def load(model, state):
        save_file(state, tmp_path / "model.safetensors")
        mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.safetensors")

    return load


@pytest.mark.parametrize(
    "name",
    [n if "cross_stitch" in n else pytest.param(n, marks=pytest.mark.slow) for n in OFFICIAL],
)
def test_every_tensor_lands_in_its_place(name, oracles_root, load):
    model = official_model(oracles_root, name)
    state = random_state(oracles_root, name)
    load(model, state)
    check(model, state)
    numbers = sum(tensor.size for tensor in state.values())
    assert numbers == sum(np.prod(v.shape) for v in model.variables if "seed" not in v.path)


def test_a_prefix_and_counters_are_left_out(oracles_root, load):
    model = official_model(oracles_root, SMALL)
    state = random_state(oracles_root, SMALL, seed=1)
    counters = {
        f"module.{name.removesuffix('running_var')}num_batches_tracked": np.array(3)
        for name in state
        if name.endswith("running_var")
    }
    load(model, {**{f"module.{name}": tensor for name, tensor in state.items()}, **counters})
    check(model, state)


def test_the_official_names_of_tasks_are_known(load):
    """The official code says "sal" and "edge" for what are "saliency" and "edges" here."""
    tasks = {"saliency": 1, "edges": 1}
    model = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3))
    r, state = np.random.default_rng(0), {}
    for name, layer in layers_by_name(model).items():
        theirs = name.replace("decoders.saliency", "decoders.sal")
        theirs = theirs.replace("decoders.edges", "decoders.edge")
        for variable in layer.variables:
            if variable.name == "kernel":
                shape = tuple(variable.shape)
                state[f"{theirs}.weight"] = r.random((*shape[:1:-1], *shape[:2]), np.float32)
            elif variable.name == "bias":
                state[f"{theirs}.bias"] = r.random(variable.shape, np.float32)
            elif "seed" not in variable.path:
                kind = {own: kind for kind, own in BATCH_NORM.items()}[variable.name]
                state[f"{theirs}.{kind}"] = r.random(variable.shape, np.float32)
    assert any(name.startswith("decoders.sal.") for name in state)
    load(model, state)
    check(
        model,
        state,
        rename=lambda name: name.replace("decoders.sal.", "decoders.saliency.").replace(
            "decoders.edge.", "decoders.edges."
        ),
    )


@pytest.mark.parametrize("nesting", [None, "model", "state_dict"])
def test_files_that_pytorch_wrote(nesting, oracles_root, tmp_path):
    torch = pytest.importorskip("torch")
    model = official_model(oracles_root, SMALL)
    state = random_state(oracles_root, SMALL, seed=2)
    saved = {f"module.{name}": torch.tensor(tensor) for name, tensor in state.items()}
    saved["module.backbone.bn1.num_batches_tracked"] = torch.tensor(7)
    torch.save({nesting: saved, "epoch": 3} if nesting else saved, tmp_path / "best.pth.tar")
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "best.pth.tar")
    check(model, state)


# === What does not fit ===


class Unchanged:
    """Whether a model is as it was on entering."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.before = [v.numpy().copy() for v in self.model.variables]

    def __exit__(self, *_):
        for old, new in zip(self.before, self.model.variables, strict=True):
            np.testing.assert_array_equal(new, old, err_msg=new.path)


def without_the_last(state):
    state.pop("decoders.depth.last_layer.3.bias")


def with_one_more(state):
    state["backbone.fc.weight"] = np.zeros((2, 2), np.float32)


def with_another_shape(state):
    name = "decoders.semseg.last_layer.3.weight"
    state[name] = state[name][:39]


def transposed(state):
    name = "backbone.conv1.weight"
    state[name] = np.ascontiguousarray(state[name].transpose(2, 3, 1, 0))


def with_many_less(state):
    for name in [name for name in state if name.startswith("decoders.depth")]:
        state.pop(name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_the_last, "decoders.depth.last_layer.3.bias is missing"),
        (with_one_more, "backbone.fc.weight is unexpected"),
        (
            with_another_shape,
            r"last_layer.3.weight must be \(40, 270, 1, 1\), is \(39, 270, 1, 1\)",
        ),
        (transposed, r"conv1.weight must be \(64, 3, 3, 3\), is \(3, 3, 3, 64\)"),
        (with_many_less, "decoders.depth.* is missing.*and 3 more"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(damage, message, oracles_root, load):
    model = official_model(oracles_root, SMALL)
    state = random_state(oracles_root, SMALL, seed=3)
    damage(state)
    with Unchanged(model), pytest.raises(ValueError, match=message):
        load(model, state)


def test_tasks_in_another_order_are_told_where_order_matters(oracles_root, tmp_path):
    torch = pytest.importorskip("torch")
    model = official_model(oracles_root, NDDR)
    state = random_state(oracles_root, NDDR, seed=4)
    saved = {name: torch.tensor(tensor) for name, tensor in state.items()}
    torch.save(saved, tmp_path / "same.pth")
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "same.pth")
    check(model, state)
    names = sorted(saved, key=lambda name: ".semseg." in name)  # depth first
    torch.save({name: saved[name] + 1 for name in names}, tmp_path / "other.pth")
    with Unchanged(model), pytest.raises(ValueError, match=r"\['depth', 'semseg'\].*Received"):
        mtl.architectures.load_torch_checkpoint(model, tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.safetensors", None, "no checkpoint"),
        ("text.safetensors", b"not tensors at all, only text", "not a safetensors file"),
        ("text.pth", b"not tensors at all, only text", "not a checkpoint of tensors"),
    ],
)
def test_what_is_not_a_checkpoint_is_told(name, content, message, oracles_root, tmp_path):
    if content and name.endswith(".pth"):
        pytest.importorskip("torch")
    if content:
        (tmp_path / name).write_bytes(content)
    model = official_model(oracles_root, SMALL)
    with Unchanged(model), pytest.raises(ValueError, match=message):
        mtl.architectures.load_torch_checkpoint(model, tmp_path / name)


def test_a_file_of_something_else_is_told(oracles_root, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"epoch": 3, "best": [1.0, 2.0]}, tmp_path / "other.pth")
    model = official_model(oracles_root, SMALL)
    with Unchanged(model), pytest.raises(ValueError, match="state dictionary"):
        mtl.architectures.load_torch_checkpoint(model, tmp_path / "other.pth")
