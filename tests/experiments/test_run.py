"""The trainer of a configuration."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf import experiments
from mtl_tf.experiments.from_config import build_trainer, load_class_weights

TASKS = {"semseg": 13, "depth": 1, "edges": 1}


def trainer_of(**values):
    config = experiments.make_config(tasks=tuple(TASKS), height=32, width=32, **values)
    return build_trainer(config, TASKS, steps=2)


def test_auxiliary_tasks_are_trained_but_not_predicted_in_the_end():
    trainer = trainer_of(architecture="mti_net", auxiliary_tasks=("edges",), initial_weight=0.5)
    final = [name for name in trainer.network.output if "/" not in name]
    assert final == ["semseg", "depth"]
    assert "edges/initial/0" in trainer.network.output
    assert [task.name for task in trainer.tasks] == list(TASKS)
    assert trainer.plan.initial_weight == 0.5


def test_an_architecture_that_knows_no_auxiliary_tasks_says_so():
    with pytest.raises(ValueError, match=r"architecture_options of shared_trunk.*auxiliary_tasks"):
        trainer_of(auxiliary_tasks=("edges",))


@pytest.mark.parametrize("auxiliary", [("normals",), tuple(TASKS)])
def test_auxiliary_tasks_are_some_of_the_tasks(auxiliary):
    with pytest.raises(ValueError, match="auxiliary_tasks"):
        trainer_of(auxiliary_tasks=auxiliary)


# === Fine-tuning ===


def rates(trainer):
    """The multipliers of the learning rate of the variables of the backbone, by path."""
    return {
        v.path: getattr(v, "learning_rate_multiplier", 1.0)
        for v in trainer.network.trainable_variables
    }


def test_adamw_decays_kernels_only():
    optimizer = trainer_of(optimizer="adamw", weight_decay=0.1, clip_norm=2.0).optimizer
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.1, 2.0)
    decays = {
        name: optimizer._use_weight_decay(keras.Variable(np.zeros(1), name=name))
        for name in ("kernel", "gamma", "beta", "bias")
    }
    assert decays == {"kernel": True, "gamma": False, "beta": False, "bias": False}


RANDOM = pytest.mark.filterwarnings("ignore:freeze_epochs=. freezes a backbone of random weights")


@RANDOM
@pytest.mark.parametrize("values", [{}, {"freeze_epochs": 1}])
def test_adamw_decays_neither_biases_nor_the_methods_own_variables(values):
    trainer = trainer_of(
        optimizer="adamw", weight_decay=0.1, balancing="uncertainty", precision="mixed_float16",
        **values,
    )  # fmt: skip
    inner = trainer.optimizer.inner_optimizer
    decays = {v.name for v in trainer.network.variables if inner._use_weight_decay(v)}
    assert "kernel" in decays and not decays & {"bias", "gamma", "beta"}
    assert not any(map(inner._use_weight_decay, trainer.balancing.trainable_variables))


def test_coupled_decay_is_the_trainers():
    trainer = trainer_of(weight_decay=0.1)
    assert (trainer.optimizer.weight_decay, trainer.plan.weight_decay) == (None, 0.1)
    assert trainer_of(optimizer="adamw", weight_decay=0.1).plan.weight_decay == 0.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "poly"}, [1, 1, 0.75**0.9, 0.25**0.9]),
        ({"schedule": "cosine"}, [1, np.cos(np.pi / 16) ** 2, np.cos(np.pi / 8) ** 2,
                                  np.cos(7 * np.pi / 16) ** 2]),
        ({"schedule": "constant", "warmup_epochs": 1.5}, [1 / 3, 2 / 3, 1, 1]),
        ({"schedule": "cosine", "warmup_epochs": 0.5}, [1, np.cos(np.pi / 16) ** 2,
                                                        np.cos(np.pi / 8) ** 2,
                                                        np.cos(7 * np.pi / 16) ** 2]),
    ],
)  # fmt: skip
def test_schedules(values, expected):
    """Two steps in each of four epochs."""
    optimizer = trainer_of(epochs=4, learning_rate=0.2, **values).optimizer
    seen = []
    for step in (0, 1, 2, 7):
        optimizer.iterations.assign(step)
        seen.append(float(optimizer.learning_rate) / 0.2)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_the_backbone_learns_slower():
    of_paths = rates(trainer_of(backbone_learning_rate=0.5, layer_decay=0.9))
    assert {r for path, r in of_paths.items() if path.startswith("decoders.")} == {1.0}
    for stage, power in (("conv1", 4), ("layer1", 3), ("layer2", 2), ("layer3", 1), ("layer4", 0)):
        found = {r for path, r in of_paths.items() if path.startswith(f"backbone.{stage}")}
        assert found == {0.5 * 0.9**power}


@RANDOM
def test_a_frozen_backbone_has_its_learning_rate_later():
    trainer = trainer_of(freeze_epochs=2, backbone_learning_rate=0.5, layer_decay=0.9)
    trainer.network.backbone.trainable = True
    expected = rates(trainer_of(backbone_learning_rate=0.5, layer_decay=0.9))
    assert rates(trainer) == expected


def test_the_backbone_is_frozen_at_first():
    with pytest.warns(UserWarning, match="freezes a backbone of random weights"):
        trainer = trainer_of(freeze_epochs=2)
    assert not trainer.network.backbone.trainable
    assert trainer.optimizer.built
    assert len(trainer.optimizer.variables) > 2 * len(trainer.network.backbone.layers)


def test_losses_of_class_ids_get_smoothing_and_weights():
    config = experiments.make_config(
        tasks=tuple(TASKS), height=32, width=32, label_smoothing=0.1, class_weights="log",
        train_size=2, val_size=1,
    )  # fmt: skip
    dataset = mtl.data.RenderedRooms(
        tasks=tuple(TASKS), input_shape=(32, 32, 3), train_size=2, val_size=1
    )
    weights = load_class_weights(config, dataset)
    assert weights == {"semseg": mtl.losses.class_weights(dataset, "semseg", "log")}
    trainer = build_trainer(config, dataset.tasks, 1, weights)
    loss = trainer.plan.loss_functions["semseg"]
    assert (loss.label_smoothing, loss.class_weights) == (0.1, weights["semseg"])
    assert load_class_weights(experiments.make_config(), dataset) == {}


def test_losses_of_boundaries_get_the_weight_of_edge_pixels():
    tasks = {**TASKS, "saliency": 1}
    config = experiments.make_config(
        tasks=tuple(tasks), height=32, width=32, edge_positive_weight=0.98
    )
    trainer = build_trainer(config, tasks, 1)
    weights = {
        name: getattr(loss, "positive_weight", "other loss")
        for name, loss in trainer.plan.loss_functions.items()
    }
    assert (weights["edges"], weights["saliency"]) == (0.98, None)
    with pytest.raises(ValueError, match="needs a task of edges"):
        build_trainer(config, {"depth": 1}, 1)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16", "float32"])
def test_precision_is_that_of_the_layers_and_leaves_the_global_one(precision):
    trainer = trainer_of(precision=precision)
    layer = trainer.network.backbone.layers[0]
    assert layer.dtype_policy.name == precision
    assert trainer.network.output["depth"].dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    is_scaled = isinstance(trainer.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert is_scaled == (precision == "mixed_float16")


def test_preprocessing_inside_is_refused():
    with pytest.raises(ValueError, match="a run trains on normalised images"):
        trainer_of(architecture_options={"include_preprocessing": True})


@pytest.mark.parametrize("values", [{"label_smoothing": 0.1}, {"class_weights": "log"}])
def test_options_of_classes_need_a_task_of_classes(values):
    config = experiments.make_config(tasks=("depth",), height=32, width=32, **values)
    with pytest.raises(ValueError, match="need a task of class ids"):
        build_trainer(config, {"depth": 1}, steps=2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"layer_decay": 1.1}, "layer_decay"),
        ({"ema_momentum": 1.0}, "ema_momentum"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"edge_positive_weight": 1.0}, "edge_positive_weight"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"freeze_epochs": -1}, "freeze_epochs"),
        ({"warmup_epochs": -1.0}, "warmup_epochs"),
        ({"weights": 3.5}, "weights"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_bad_values_name_the_option(values, message):
    with pytest.raises(ValueError, match=message):
        experiments.make_config(**values)
