"""What every architecture of the table must do."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, randomised, small_model, tiny_backbone
from tests.helpers.slow import slow_but

NAMES = sorted(mtl.architectures.TABLE)
TASKS = {"semseg": 5, "depth": 1, "normals": 3}
FEWER = {"single_task": {"depth": 1}, "jtrl": {"depth": 1, "normals": 3}}
SIZE = (16, 24)
VARIANTS = {
    **{name: (name, {}) for name in NAMES},
    "modulation": ("shared_trunk", {"modulation": True}),
    "one number a pair": ("cross_stitch", {"per_channel": False}),
    "tree": (
        "branched",
        {
            "tree": [
                [tuple(TASKS)],
                [("semseg", "normals"), ("depth",)],
                [("depth",), ("normals", "semseg")],
            ]
        },
    ),
    "gates of the target": ("pad_net", {"gate": "target"}),
    "gates on features": ("pad_net", {"gate": "survey"}),
    "auxiliary": ("mti_net", {"auxiliary_tasks": {**TASKS, "edges": 1}, "propagation": "official"}),
    "adversarial": ("astmt", {"adversarial": 0.01}),
    "soft and costly": ("learned_branching", {"is_hard": False, "resource_weight": 0.1}),
}
LOADER = """
import sys, keras, mtl_tf, numpy as np
for path in sys.argv[1:]:
    model, data = keras.saving.load_model(path), np.load(path + ".npz")
    outputs = model(data["image"], training=False)
    print(type(model).__name__, all(np.array_equal(y, data[t]) for t, y in outputs.items()))
"""


def make(variant, backbone=None, tasks=None, shape=(*SIZE, 3), **kwargs):
    name, options = VARIANTS[variant]
    tasks = tasks or FEWER.get(name, TASKS)
    backbone = tiny_backbone(*SIZE) if backbone is None else backbone
    return mtl.architectures.TABLE[name].cls(backbone, tasks, shape, **options, **kwargs), tasks


def finals(outputs):
    """The outputs that are no initial predictions."""
    return {name: y for name, y in outputs.items() if "/" not in name}


def random(shape):
    return np.random.default_rng(1).standard_normal(shape)


def mix(model, value):
    """Whether the nodes of learned branching are mixed in equal parts."""
    if isinstance(model, mtl.architectures.LearnedBranching):
        model.choices.is_mixing.assign(value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_by_task_at_input_size_for_any_batch_size(variant):
    model, tasks = make(variant)
    for size in (1, 3):
        outputs = model(batch({}, size, *SIZE)[0])
        assert list(finals(outputs)) == list(tasks)
        for task, output in outputs.items():
            assert output.dtype == tf.float32
            if "/" in task:
                assert output.shape[0] == size and output.shape[1] < SIZE[0]
            else:
                assert tuple(output.shape) == (size, *SIZE, tasks[task])


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_trainable_variable(variant):
    model, _ = make(variant)
    randomised(model)  # copies of one backbone begin alike: no choice between them matters
    image = batch({}, 3, *SIZE)[0]
    paths = [f"{i}: {v.path}" for i, v in enumerate(model.trainable_variables)]
    largest = dict.fromkeys(paths, 0.0)
    # Choices are learned only where nodes are not mixed.
    is_learned = isinstance(model, mtl.architectures.LearnedBranching)
    for is_mixing in (1.0, 0.0) if is_learned else (1.0,):
        mix(model, is_mixing)
        with tf.GradientTape() as tape:
            outputs = model(image, training=True)
            errors = [tf.reduce_mean(tf.square(y - random(y.shape))) for y in outputs.values()]
            loss = tf.add_n([*errors, *model.losses])
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        assert [p for p, g in zip(paths, gradients, strict=True) if g is None] == []
        for path, gradient in zip(paths, gradients, strict=True):
            largest[path] = max(largest[path], float(tf.reduce_max(tf.abs(gradient))))
    assert all(np.isfinite(value) for value in largest.values())
    # A bias before a batch normalisation does nothing, nor does the only unit of a small
    # squeeze-and-excitation if it is below zero.
    idle = [p for p in largest if ("attention" in p and p.endswith("bias")) or "squeeze" in p]
    assert [p for p, value in largest.items() if value < 1e-9 and p not in idle] == []


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(["tree", "astmt", "auxiliary"], id="some"),
        pytest.param(NAMES, id="all", marks=pytest.mark.slow),
    ],
)
def test_saved_models_reload_with_the_same_outputs_here_and_in_a_fresh_process(saved, tmp_path):
    paths, image = {}, batch({}, 2, *SIZE)[0]
    for variant in saved:
        model, _ = make(variant)
        paths[variant] = str(tmp_path / f"{len(paths)}.keras")
        model.save(paths[variant])
        outputs = {task: y.numpy() for task, y in model(image, training=False).items()}
        np.savez(paths[variant] + ".npz", image=image, **outputs)
        again = keras.saving.load_model(paths[variant])
        assert type(again) is type(model)
        assert again.name == model.name
        assert [v.path for v in again.weights] == [v.path for v in model.weights], variant
        for task, output in again(image, training=False).items():
            np.testing.assert_array_equal(output, outputs[task], err_msg=variant)
    command = [sys.executable, "-W", "ignore", "-c", LOADER, *paths.values()]
    done = subprocess.run(command, capture_output=True, text=True)
    classes = [mtl.architectures.TABLE[name].cls.__name__ for name, _ in map(VARIANTS.get, saved)]
    assert done.stdout.splitlines() == [f"{name} True" for name in classes], done.stderr


def test_a_named_backbone_is_saved_by_its_name(tmp_path):
    model, _ = make(
        "branched", "resnet18", {"depth": 1, "edges": 1}, (32, 32, 3), head="conv", output_stride=32
    )
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.arguments == model.arguments
    image = batch({}, 1, 32, 32)[0]
    np.testing.assert_array_equal(model(image)["depth"], again(image)["depth"])


@pytest.fixture
def mixed_precision():
    before = keras.mixed_precision.dtype_policy()
    yield lambda: keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.parametrize(
    "variant", slow_but(["shared_trunk", "cross_stitch", "mtan", "pad_net", "pap_net"], VARIANTS)
)
def test_mixed_precision_computes_in_it_and_predicts_in_float32(variant, mixed_precision):
    whole, tasks = make(variant)
    mixed_precision()
    mixed, _ = make(variant)
    mixed.set_weights(whole.get_weights())
    image = batch({}, 2, *SIZE)[0]
    exact, rounded = whole(image), mixed(image)
    for task in tasks:
        assert rounded[task].dtype == tf.float32
        error = np.abs(rounded[task] - exact[task]).max()
        rounding = 2**-7 * np.abs(exact[task]).max()  # of a fresh head's bias, mostly
        assert 0 < error < 0.2 * np.std(exact[task]) + rounding
    assert all(v.dtype == "float32" for v in mixed.trainable_variables)


@pytest.mark.parametrize("balancing", slow_but(["upgrad"], ["uncertainty", "upgrad", "graddrop"]))
@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_moves_every_variable(name, balancing):
    tasks = {"depth": 1} if name == "single_task" else {"depth": 1, "normals": 3}
    model, _ = make(name, tasks=tasks)
    mix(model, 1.0)
    made = mtl.MultiTaskTrainer(model, tasks)
    made.compile(keras.optimizers.Adam(1e-2), balancing=balancing, metrics={t: [] for t in tasks})
    before = [v.numpy() for v in model.trainable_variables]
    logs = made.train_step(batch(tasks, 3, *SIZE))
    assert all(np.isfinite(value) for value in logs.values())
    pairs = zip(model.trainable_variables, before, strict=True)
    still = [v.path for v, old in pairs if np.array_equal(v, old)]
    # While nodes are mixed no choice counts; see above for the rest.
    idle = ("logits", "attention", "squeeze")
    assert [p for p in still if not any(part in p for part in idle)] == []


@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_w18_small_v2"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_named_backbones_with_their_own_heads(name, backbone):
    tasks = {"depth": 1} if name == "single_task" else {"depth": 1, "normals": 3}
    model, _ = make(name, backbone, tasks, (32, 64, 3))
    outputs = model(batch({}, 1, 32, 64)[0])
    assert {t: tuple(y.shape) for t, y in finals(outputs).items()} == {
        t: (1, 32, 64, c) for t, c in tasks.items()
    }
    assert all(np.isfinite(y).all() for y in outputs.values())


ODD = (45, 61)
"""A size of which no stage is half the one before."""
BACKBONES_OF_ODD_SIZES = [
    "tiny",
    pytest.param("resnet18", marks=pytest.mark.slow),
    pytest.param("hrnet_w18", marks=pytest.mark.slow),  # nearest upsampling
    pytest.param("hrnet_w18_small_v2", marks=pytest.mark.slow),
    pytest.param("efficientnet_lite0", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("backbone", BACKBONES_OF_ODD_SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_trains_and_comes_back(name, backbone, tmp_path):
    tasks = {"depth": 1} if name == "single_task" else {"depth": 1, "normals": 3}
    network = tiny_backbone(*ODD) if backbone == "tiny" else backbone
    model = mtl.architectures.TABLE[name].cls(network, tasks, (*ODD, 3), output_stride=32)
    image, targets, masks = batch(tasks, 2, *ODD)
    outputs = model(image)
    assert {t: tuple(y.shape) for t, y in finals(outputs).items()} == {
        t: (2, *ODD, c) for t, c in tasks.items()
    }
    trainer = mtl.MultiTaskTrainer(model, tasks)
    trainer.compile("sgd", run_eagerly=True)
    logs = trainer.train_on_batch(image, targets, masks, return_dict=True)
    assert np.isfinite(logs["loss"])
    if backbone == "tiny":
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert again.input_shape == (None, *ODD, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_of_another_size_is_refused(name):
    with pytest.raises(ValueError, match="shape"):
        mtl.architectures.TABLE[name].cls(tiny_backbone(16, 24), {"depth": 1}, (32, 24, 3))


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_told(name):
    cls = mtl.architectures.TABLE[name].cls
    for backbone, tasks, shape, options, message in [
        ("resnet19", {"depth": 1}, (32, 64, 3), {}, "resnet18"),
        ("resnet18", {"depth": 1}, (32, 64), {}, "height, width, 3"),
        ("resnet18", {"depth": 1}, (32, 64, 4), {}, "height, width, 3"),
        ("resnet18", {"depth": 1}, (32, 64, 3), {"head": "fancy"}, "deeplab"),
        ("resnet18", {"depth": 1}, (32, 64, 3), {"output_stride": 4}, "(8, 16, 32)"),
        ("resnet18", {}, (32, 64, 3), {}, "at least one task"),
        ("resnet18", {"depth": 0}, (32, 64, 3), {}, "at least one"),
        ("resnet18", ["depth"], (32, 64, 3), {}, "channels"),
    ]:
        if not options.keys() <= inspect.signature(cls).parameters.keys():
            continue
        with pytest.raises(ValueError, match=message):
            cls(backbone, tasks, shape, **options)


@pytest.mark.parametrize("name", ["pad_net", "mti_net", "pap_net", "psd"])
def test_auxiliary_tasks_hold_all_tasks(name):
    for auxiliary in ({"depth": 1}, {**TASKS, "depth": 2}):
        with pytest.raises(ValueError, match="auxiliary_tasks must hold all tasks"):
            make(name, auxiliary_tasks=auxiliary)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("pad_net", {"gate": "both"}, "survey"),
        ("mti_net", {"propagation": "none"}, "official"),
        ("astmt", {"adversarial": -1.0}, "negative"),
    ],
)
def test_unknown_options_are_told(name, option, message):
    with pytest.raises(ValueError, match=message):
        make(name, **option)


@pytest.mark.parametrize("tasks", [{"depth": 1}, TASKS])
def test_jtrl_has_two_tasks(tasks):
    with pytest.raises(ValueError, match="exactly two"):
        mtl.architectures.JTRL(tiny_backbone(*SIZE), tasks, (*SIZE, 3))


def test_single_task_has_one_task():
    with pytest.raises(ValueError, match="exactly one task"):
        mtl.architectures.SingleTask("resnet18", {"depth": 1, "edges": 1}, (32, 32, 3))


def test_sluice_needs_an_even_number_of_channels():
    with pytest.raises(ValueError, match="even number of channels"):
        mtl.architectures.Sluice(tiny_backbone(channels=(4, 7)), TASKS, (*SIZE, 3))


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride_sets_the_resolution_of_the_last_stage(output_stride):
    pyramid = mtl.backbones.build("resnet18", (64, 96, 3), output_stride).output
    strides = [64 // f.shape[1] for f in pyramid]
    assert strides == [4, 8, min(16, output_stride), output_stride]


def test_tasks_may_be_task_objects():
    tasks = [mtl.TASKS["depth"], mtl.TASKS["normals"]]
    model = mtl.architectures.SharedTrunk(tiny_backbone(), tasks, (*SIZE, 3))
    assert {t: o.shape[-1] for t, o in model.output.items()} == {"depth": 1, "normals": 3}


def test_a_backbone_given_as_a_model_is_saved_too(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    image = batch()[0]
    np.testing.assert_array_equal(model(image)["depth"], again(image)["depth"])


def test_a_frozen_model_is_frozen_after_reloading(tmp_path):
    model = small_model({"depth": 1})
    assert mtl.architectures.SharedTrunk.from_config(model.get_config()).trainable_variables
    frozen = mtl.architectures.SharedTrunk(
        tiny_backbone(), {"depth": 1}, (*SIZE, 3), name="frozen", trainable=False
    )
    frozen.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (again.name, again.trainable, again.trainable_variables) == ("frozen", False, [])


def test_a_frozen_backbone_stays_frozen_after_reloading(tmp_path):
    backbone = tiny_backbone()
    backbone.trainable = False
    model = mtl.architectures.SharedTrunk(backbone, {"depth": 1}, (*SIZE, 3))
    assert 0 < len(model.trainable_variables) < len(model.variables)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [v.path for v in again.trainable_variables] == [
        v.path for v in model.trainable_variables
    ]


@pytest.mark.parametrize("name", ["shared_trunk", "mti_net"])
def test_unknown_and_positional_options_are_errors(name):
    with pytest.raises(TypeError, match="has no argument 'activation'"):
        make(name, activation="relu")
    with pytest.raises(TypeError, match="positional"):
        mtl.architectures.TABLE[name].cls(tiny_backbone(), TASKS, (*SIZE, 3), "conv")
