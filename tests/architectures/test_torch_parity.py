"""The same numbers as a second implementation in PyTorch, part by part and as whole networks."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.weights.torch_state import fill, leaf_layers, slots
from tests.helpers.references import regenerated

torch = pytest.importorskip("torch")

TASKS = {"semseg": 5, "depth": 1, "normals": 3}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def networks():
    from tests.helpers import torch_networks

    return torch_networks


def with_weights(module):
    """The module in inference mode, with weights anyone can regenerate; and those weights."""
    state = {
        name: regenerated(name, tuple(tensor.shape)).astype(np.float32)
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    missing, extra = module.load_state_dict(
        {name: torch.from_numpy(tensor) for name, tensor in state.items()}, strict=False
    )
    assert extra == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return module.eval(), state


def maps(channels, size, seed=0):
    """Random features, NHWC."""
    r = np.random.default_rng(seed)
    sizes = [(size[0] >> i, size[1] >> i) for i in range(len(channels))]
    return [
        r.standard_normal((2, *hw, c)).astype(np.float32)
        for hw, c in zip(sizes, channels, strict=True)
    ]


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def compare(found, expected):
    expected = expected.numpy().transpose(0, 2, 3, 1)
    assert tuple(found.shape) == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * expected.std()


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_stages_of_a_dilated_resnet(name):
    module, state = with_weights(networks().ResNet(name))
    model = mtl.backbones.build(name, (64, 96, 3))
    fill(slots(leaf_layers(model)), state, name)
    (image,) = maps((3,), (64, 96))
    found, x = model(image), nchw(image)
    for stage, features in zip(("layer1", "layer2", "layer3", "layer4"), found, strict=True):
        x = module.run(stage, x)
        compare(features, x)


def test_branches_of_an_hrnet():
    module, state = with_weights(networks().HRNet())
    model = mtl.backbones.build("hrnet_w18_small_v2", (64, 96, 3))
    fill(slots(leaf_layers(model)), state, "hrnet")
    (image,) = maps((3,), (64, 96))
    found, expected = model(image), module(nchw(image))
    assert len(found) == len(expected) == 4
    for features, x in zip(found, expected, strict=True):
        compare(features, x)


@pytest.mark.parametrize(
    ("head", "channels", "size"),
    [("deeplab", (64,), (8, 12)), ("high_resolution", (18, 36, 72, 144), (16, 24))],
)
def test_a_head(head, channels, size):
    made = networks()
    cls = made.DeepLabHead if head == "deeplab" else made.HighResolutionHead
    module, state = with_weights(cls(channels[0] if head == "deeplab" else list(channels), 7))
    features = maps(channels, size)
    inputs = [keras.Input(x.shape[1:]) for x in features]
    model = keras.Model(inputs, mtl.heads.TABLE[head](inputs, 7, "head"))
    fill(slots(leaf_layers(model)), {f"head.{n}": x for n, x in state.items()}, head)
    given = [nchw(x) for x in features]
    compare(model(features), module(given[0] if head == "deeplab" else given))


@pytest.mark.parametrize(
    ("architecture", "tasks"),
    [
        ("single_task", {"depth": 1}),
        ("shared_trunk", TASKS),
        ("cross_stitch", TASKS),
        ("nddr_cnn", TASKS),
        ("mtan", TASKS),
    ],
)
@pytest.mark.slow
def test_a_whole_network(architecture, tasks, tmp_path):
    module, _ = with_weights(networks().network(architecture, "resnet18", tasks))
    torch.save(module.state_dict(), tmp_path / "model.pth")
    model = mtl.architectures.TABLE[architecture].cls("resnet18", tasks, (64, 64, 3))
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.pth")
    (image,) = maps((3,), (64, 64))
    outputs, expected = model(image), module(nchw(image))
    assert set(outputs) == set(expected) == set(tasks)
    for task, output in outputs.items():
        compare(output, expected[task])


@pytest.mark.slow
def test_exchanges_begin_alike():
    """Fresh cross-stitch and NDDR units of both weigh the tasks alike."""
    tasks = {"depth": 1, "normals": 3}
    for name, unit in [("cross_stitch", "cross_stitch.layer1"), ("nddr_cnn", "nddr.layer2.layer")]:
        model = mtl.architectures.TABLE[name].cls("resnet18", tasks, (32, 32, 3), own=0.8)
        module = networks().network(name, "resnet18", tasks, own=0.8, other=0.2)
        state = {k: v for k, v in module.state_dict().items() if k.startswith(unit)}
        if name == "cross_stitch":
            mixing = model.get_layer(unit).mixing.numpy()
            for i, target in enumerate(tasks):
                for j, source in enumerate(tasks):
                    expected = state[f"{unit}.cross_stitch_unit.{target}.{source}.param"]
                    np.testing.assert_allclose(mixing[i, j], expected, rtol=1e-6)
            continue
        for task in tasks:
            kernel = model.get_layer(f"{unit}.{task}.0").kernel.numpy().transpose(3, 2, 0, 1)
            np.testing.assert_allclose(kernel, state[f"{unit}.{task}.0.weight"], atol=1e-7)


@pytest.mark.parametrize("tasks", [{"semseg": 5, "depth": 1}, TASKS], ids=["two", "three"])
@pytest.mark.parametrize("architecture", ["pad_net", "mti_net"])
@pytest.mark.slow
def test_a_whole_distilling_network(architecture, tasks, tmp_path):
    from tests.helpers.torch_decoders import DECODERS

    module, _ = with_weights(DECODERS[architecture](tasks))
    torch.save(module.state_dict(), tmp_path / "model.pth")
    options = {"propagation": "official"} if architecture == "mti_net" else {}
    cls = mtl.architectures.TABLE[architecture].cls
    model = cls("hrnet_w18_small_v2", tasks, (64, 64, 3), **options)
    mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.pth")
    (image,) = maps((3,), (64, 64))
    outputs, expected = model(image), module(nchw(image))
    assert set(outputs) == set(expected)
    for name, output in outputs.items():
        compare(output, expected[name])


def test_distillation_with_a_shared_state():
    from tests.helpers.torch_decoders import Distillation

    module, state = with_weights(Distillation(TASKS, 6))
    features = {task: maps((6,), (4, 6), seed=i)[0] for i, task in enumerate(TASKS)}
    inputs = {task: keras.Input(x.shape[1:], name=task) for task, x in features.items()}
    model = keras.Model(inputs, mtl.layers.distill(inputs, list(TASKS), "source", "module"))
    places = [
        place
        for layer in model.layers
        if "self_attention" in layer.name
        for place in mtl.architectures.torch_checkpoint._message_slots(layer, list(TASKS))
    ]
    fill(places, {f"module.{name}": x for name, x in state.items()}, "distillation")
    expected = module({task: nchw(x) for task, x in features.items()})
    for task, found in model(features).items():
        compare(found, expected[task])


def test_propagation_with_a_shared_state():
    from mtl_tf.architectures.mti_net import _feature_propagation
    from tests.helpers.torch_decoders import Propagation

    module, state = with_weights(Propagation(TASKS, 16))
    features = {task: maps((16,), (4, 6), seed=i)[0] for i, task in enumerate(TASKS)}
    inputs = {task: keras.Input(x.shape[1:], name=task) for task, x in features.items()}
    model = keras.Model(inputs, _feature_propagation(inputs, "official", "fpm"))
    fill(slots(leaf_layers(model)), {f"fpm.{name}": x for name, x in state.items()}, "fpm")
    expected = module({task: nchw(x) for task, x in features.items()})
    for task, found in model(features).items():
        compare(found, expected[task])


@pytest.mark.parametrize(
    ("architecture", "option", "message"),
    [
        ("pad_net", {"gate": "target"}, "gate='source'"),
        ("mti_net", {}, "propagation='official'"),
        ("mti_net", {"propagation": "official", "tasks": ("depth", "semseg")}, "in the order"),
    ],
)
@pytest.mark.slow
def test_what_a_checkpoint_does_not_fit_is_told(architecture, option, message, tmp_path):
    from tests.helpers.torch_decoders import DECODERS

    tasks = {"semseg": 5, "depth": 1}
    torch.save(DECODERS[architecture](tasks).state_dict(), tmp_path / "model.pth")
    option = dict(option)
    order = option.pop("tasks", tasks)
    model = mtl.architectures.TABLE[architecture].cls(
        "hrnet_w18_small_v2", {task: tasks[task] for task in order}, (64, 64, 3), **option
    )
    with pytest.raises(ValueError, match=message):
        mtl.architectures.load_torch_checkpoint(model, tmp_path / "model.pth")
