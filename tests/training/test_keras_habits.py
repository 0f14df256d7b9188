"""What users of Keras expect: labels as they have them, and warnings of what cannot be meant."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import tiny_backbone

TASKS = {"semseg": 5, "depth": 1}
IMAGES = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)


def network(**options):
    keras.utils.set_random_seed(0)
    return mtl.architectures.SharedTrunk(
        tiny_backbone(16, 16, seed=0), TASKS, (16, 16, 3), head="conv", **options
    )


def targets(dtype=np.int64):
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 5, (4, 16, 16)).astype(dtype)
    return {"semseg": classes, "depth": rng.random((4, 16, 16)).astype(np.float32)}


def logs(y, masks=None, model=None, **options):
    trainer = mtl.MultiTaskTrainer(model or network(), TASKS)
    trainer.compile(keras.optimizers.SGD(0.01), **options)
    history = trainer.fit(
        IMAGES, y, sample_weight=masks, batch_size=2, epochs=1, shuffle=False, verbose=0
    ).history
    return {name: values[-1] for name, values in history.items() if name != "images_per_s"}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_without_a_last_axis(dtype):
    with_axis = {name: y[..., None] for name, y in targets(dtype).items()}
    assert logs(targets(dtype)) == pytest.approx(logs(with_axis))


@pytest.mark.parametrize("ignore", [255, {"semseg": 255}])
def test_a_label_that_means_no_label_is_a_mask(ignore):
    y = targets(np.uint8)
    y["semseg"][:, :5] = 255
    mask = {"semseg": y["semseg"] != 255, "depth": np.ones((4, 16, 16))}
    expected = logs(y, mask)
    assert logs(y, ignore=ignore) == pytest.approx(expected)
    half = {"semseg": np.ones((4, 16, 16)), "depth": np.ones((4, 16, 16))}
    half["semseg"][:, :, 8:] = 0  # a mask beside it
    both = {"semseg": half["semseg"] * mask["semseg"], "depth": half["depth"]}
    assert logs(y, half, ignore=ignore) == pytest.approx(logs(y, both))
    assert logs(y, half, ignore=ignore) != pytest.approx(expected)


def test_evaluate_ignores_too_and_a_saved_trainer_remembers(tmp_path):
    y = targets()
    y["semseg"][:, :5] = -1
    trainer = mtl.MultiTaskTrainer(network(), TASKS)
    trainer.compile("adam", ignore=-1)
    expected = trainer.evaluate(IMAGES, y, return_dict=True, verbose=0)
    trainer.save(tmp_path / "trainer.keras")
    again = keras.saving.load_model(tmp_path / "trainer.keras")
    assert again.evaluate(IMAGES, y, return_dict=True, verbose=0) == pytest.approx(expected)


def test_an_ignored_binary_label():
    tasks = {"saliency": 1}
    model = mtl.architectures.SharedTrunk(
        tiny_backbone(16, 16, seed=0), tasks, (16, 16, 3), head="conv"
    )
    y = {"saliency": np.random.default_rng(0).integers(0, 2, (4, 16, 16)).astype(np.uint8)}
    y["saliency"][:, 3] = 255
    trainer = mtl.MultiTaskTrainer(model, tasks)
    with pytest.raises(ValueError, match="no task has class ids"):
        trainer.compile("adam", ignore=255)
    trainer.compile("adam", ignore={"saliency": 255})
    masked = trainer.evaluate(
        IMAGES, y, sample_weight={"saliency": y["saliency"] != 255}, return_dict=True, verbose=0
    )
    assert trainer.evaluate(IMAGES, y, return_dict=True, verbose=0) == pytest.approx(masked)


def test_other_labels_outside_the_classes_stay_an_error():
    y = targets()
    y["semseg"][0, 0] = 7
    with pytest.raises(ValueError, match=r"'semseg' has the value 7.*or compile with ignore=LABEL"):
        logs(y, ignore=255)
    assert logs(targets(), ignore=np.uint8(255))
    for wrong in ({"sem": 255}, "255", 1.5, True):
        with pytest.raises(ValueError, match="ignore must be a label such as 255"):
            logs(y, ignore=wrong)


def test_a_frozen_backbone_leaves_nothing_to_balance():
    frozen = network(freeze_backbone=True)
    with pytest.warns(UserWarning, match=r"No trainable variable of .* MGDA has nothing to bal"):
        logs(targets(), model=frozen, balancing="mgda")
    with pytest.raises(ValueError, match=r"the backbone is frozen. Set trainable = True"):
        logs(targets(), model=frozen, balancing="mgda", level="features")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        logs(targets(), model=network(freeze_backbone=True))
        logs(targets(), balancing="mgda")


def test_float16_without_a_gpu_is_slow(monkeypatch):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        trainer = mtl.MultiTaskTrainer(network(), TASKS)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])
    with pytest.warns(UserWarning, match=r"float16 without a GPU.*mixed_bfloat16"):
        trainer.compile("adam")


def test_learning_rates_of_the_backbone_survive_saving(tmp_path):
    model = network()
    model.backbone.set_learning_rate(0.1, layer_decay=0.5)
    expected = {v.path: getattr(v, "learning_rate_multiplier", 1.0) for v in model.variables}
    assert len(set(expected.values())) > 1
    model.save(tmp_path / "network.keras")
    trainer = mtl.MultiTaskTrainer(model, TASKS)
    trainer.compile("adam")
    trainer.save(tmp_path / "trainer.keras")
    again = [
        keras.saving.load_model(tmp_path / "network.keras"),
        keras.saving.load_model(tmp_path / "trainer.keras").network,
        model.with_preprocessing(),
    ]
    for copy in again:
        found = {v.path: getattr(v, "learning_rate_multiplier", 1.0) for v in copy.variables}
        assert found == expected
