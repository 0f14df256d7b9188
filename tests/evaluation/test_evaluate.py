"""Evaluation at the size of the targets, and the trivial baseline."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import TASKS, batch, dataset, small_model


def perfect(targets, tasks=TASKS):
    """Raw predictions that a perfect model would give."""
    outputs = {}
    for task, target in targets.items():
        if task in ("semseg", "human_parts"):
            outputs[task] = 20.0 * (target == np.arange(tasks[task])).astype(np.float32)
        elif task in ("edges", "saliency"):
            outputs[task] = 40.0 * target - 20.0
        else:
            outputs[task] = target
    return outputs


def test_a_perfect_model_gets_perfect_numbers():
    image, targets, masks = batch()
    results = mtl.evaluation.evaluate(
        lambda image, training: perfect(targets), [(image, targets, masks)], TASKS
    )
    for task, metric, value in [
        ("semseg", "miou", 1),
        ("human_parts", "miou", 1),
        ("saliency", "miou", 1),
        ("depth", "rmse", 0),
        ("normals", "mean", 0),
        ("edges", "f", 1),
    ]:
        assert results[task][metric] == pytest.approx(value, abs=1e-3)


def test_agrees_with_keras_evaluate_at_the_input_size():
    trainer = mtl.MultiTaskTrainer(small_model(), TASKS)
    trainer.compile("sgd")
    logs = trainer.evaluate(dataset(), return_dict=True, verbose=0)
    results = mtl.evaluation.evaluate(trainer, dataset(), TASKS)
    for task in TASKS:
        main = mtl.TASKS[task].main_metric
        assert results[task][main] == pytest.approx(float(logs[f"{task}_{main}"]), rel=1e-5)


def test_predictions_are_resized_to_larger_targets():
    image, targets, masks = batch({"depth": 1}, height=64, width=128)
    flat = {"depth": np.full((4, 32, 64, 1), 2.0, np.float32)}
    results = mtl.evaluation.evaluate(
        lambda image, training: {"depth": tf.constant(flat["depth"])},
        [(image, targets, masks)],
        {"depth": 1},
    )
    expected = np.sqrt(np.mean((2.0 - targets["depth"].astype(np.float64)) ** 2))
    assert results["depth"]["rmse"] == pytest.approx(expected, rel=1e-5)


def test_auxiliary_tasks_without_an_output_are_left_out():
    model = small_model({"depth": 1})
    results = mtl.evaluation.evaluate(model, dataset(), TASKS)
    assert list(results) == ["depth"]


def test_errors_are_told():
    with pytest.raises(ValueError, match="empty"):
        mtl.evaluation.evaluate(small_model(), [], TASKS)
    with pytest.raises(ValueError, match="predicts none"):
        mtl.evaluation.evaluate(small_model({"depth": 1}), dataset(), {"edges": 1})


def test_baseline_is_the_statistics_of_the_training_set():
    tasks = {"semseg": 3, "depth": 1, "saliency": 1, "normals": 3}
    image, targets, masks = batch(tasks, size=6)
    targets["semseg"][:] = 1
    targets["semseg"][:, :8] = 2
    masks["depth"][0] = 0
    targets["depth"][0] = 99.0
    results = mtl.evaluation.trivial_baseline(
        tf.data.Dataset.from_tensor_slices((image, targets, masks)).batch(4),
        [(image, targets, masks)],
        tasks,
    )
    assert results["semseg"]["pixel_accuracy"] == 1.0
    depth = targets["depth"][1:].astype(np.float64)
    expected = np.sqrt(np.mean((depth - depth.mean(0)) ** 2))
    assert results["depth"]["rmse"] == pytest.approx(expected, rel=1e-4)


def test_gradient_detector_finds_a_step_edge():
    image = np.zeros((1, 32, 64, 3), np.float32)
    image[:, :, 32:] = 3.0
    edges = np.zeros((1, 32, 64, 1), np.float32)
    edges[:, :, 31:33] = 1.0
    data = [(tf.constant(image), {"edges": edges}, {"edges": np.ones((1, 32, 64), np.float32)})]
    results = mtl.evaluation.trivial_baseline(data, data, {"edges": 1}, tuning=data)
    assert results["edges"]["f"] > 0.9
    with pytest.raises(ValueError, match="tuning"):
        mtl.evaluation.trivial_baseline(data, data, {"edges": 1})


def test_a_task_without_any_label_has_no_results():
    """Its metrics would look perfect."""
    image, targets, masks = batch()
    masks = {**masks, "depth": np.zeros_like(masks["depth"]), "edges": 0 * masks["edges"]}
    data = [(image, targets, masks)]

    def model(image, training):
        return perfect(targets)

    with pytest.warns(RuntimeWarning, match=r"depth, edges: none of the 4 evaluated images"):
        results = mtl.evaluation.evaluate(model, data, TASKS, edge_tolerance=0.1)
    assert set(results) == set(TASKS) - {"depth", "edges"}
    with pytest.raises(ValueError, match="no results"):
        mtl.evaluation.evaluate(model, data, {"depth": 1})


@pytest.mark.parametrize("tolerance", [0.0, -0.1, 5])
def test_a_tolerance_is_a_share_of_the_diagonal(tolerance):
    with pytest.raises(ValueError, match="share of the diagonal"):
        mtl.evaluation.evaluate(lambda image, training: {}, [], {"edges": 1}, tolerance)
