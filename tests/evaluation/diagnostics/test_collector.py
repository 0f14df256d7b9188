"""All diagnostics of an evaluation: their names, their sums, the best and the worst image."""

import json

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.evaluation.diagnostics.image_scores import best_median_worst, image_scores
from tests.evaluation.test_evaluate import perfect
from tests.helpers.inputs import TASKS, batch

NAMES = {
    "semseg": {"reliability", "classes", "confusion", "image_scores"},
    "human_parts": {"reliability", "classes", "confusion", "image_scores"},
    "saliency": {"thresholds", "image_scores"},
    "normals": {"angles", "image_scores"},
    "edges": {"thresholds", "image_scores"},
    "depth": {"depth_ranges", "image_scores"},
}


@pytest.fixture(scope="module")
def evaluated():
    """Predictions that are right in the first image and worse in each further one."""
    image, targets, masks = batch()
    outputs = {}
    for task, raw in perfect(targets).items():
        noise = np.random.default_rng(1).standard_normal(raw.shape).astype(np.float32)
        amount = np.array([0.0, 0.5, 3.0, 20.0], np.float32)[:, None, None, None]
        outputs[task] = raw + amount * noise
    masks["depth"][2] = 0.0
    diagnostics = mtl.evaluation.Diagnostics()
    states = mtl.evaluation.evaluate_images(
        lambda image, training: outputs, [(image, targets, masks)], TASKS, observe=diagnostics
    )
    return states, diagnostics.result(states), outputs, targets


def test_each_kind_has_its_diagnostics(evaluated):
    _, result, _, _ = evaluated
    assert {task: set(of_task) for task, of_task in result.items()} == NAMES
    json.dumps(result, allow_nan=False)


def test_they_agree_with_the_metrics(evaluated):
    states, result, _, _ = evaluated
    results = states.results()
    ious = [row["iou"] for row in result["semseg"]["classes"]]
    assert np.mean(ious) == pytest.approx(results["semseg"]["miou"], abs=1e-6)
    ranges = result["depth"]["depth_ranges"]["ranges"]
    square = sum(row["share"] * row["rmse"] ** 2 for row in ranges)
    assert square**0.5 == pytest.approx(results["depth"]["rmse"], rel=1e-5)
    within = sum(result["normals"]["angles"]["shares"][:6])
    assert within == pytest.approx(results["normals"]["within_30"], abs=1e-6)
    edges = result["edges"]["thresholds"]["curve"]
    assert edges["f"][84] == pytest.approx(results["edges"]["f"], abs=1e-6)  # threshold 0.85


def test_scores_of_images_rank_them(evaluated):
    states, _, _, _ = evaluated
    scores = image_scores(states)
    for name in ("semseg", "normals"):
        task = states.tasks[name]
        assert best_median_worst(scores[name], task) == {"best": 0, "median": 1, "worst": 3}
    assert np.isnan(scores["depth"][2]) and scores["depth"][0] < 1e-6
    assert best_median_worst(scores["depth"], states.tasks["depth"])["worst"] == 3


def test_few_images_are_shown_once():
    depth = mtl.TASKS["depth"]
    assert best_median_worst(np.array([0.3]), depth) == {"best": 0}
    assert best_median_worst(np.array([0.3, 0.1]), depth) == {"best": 1, "worst": 0}
    assert best_median_worst(np.array([np.nan]), depth) == {}


def test_tasks_of_whole_images_and_other_values_have_none():
    diagnostics = mtl.evaluation.Diagnostics()
    diagnostics(mtl.TASKS["semseg"], np.zeros(1, int), np.zeros(3), np.True_)
    diagnostics(mtl.TASKS["keypoints"], np.ones((2, 2, 1)), np.ones((2, 2, 1)), np.ones((2, 2)) > 0)
    assert diagnostics.result() == {}
